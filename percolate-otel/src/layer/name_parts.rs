//! Whether a span name follows from the attributes of the span.

/// The span name and the attributes it may consist of, kept while the span is being created.
#[derive(Debug)]
pub(crate) struct NameParts {
    bytes: [u8; 192],
    used: usize,
    /// Start and end of each part.
    parts: [(u8, u8); 10],
    /// A text did not fit. The name is not checked then.
    pub(crate) is_cut: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Name,
    System,
    Operation,
    Collection,
    Namespace,
    Procedure,
    Address,
    Summary,
    JobType,
    JobTarget,
}

impl NameParts {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 192],
            used: 0,
            parts: [(0, 0); 10],
            is_cut: false,
        }
    }

    pub(crate) fn put(&mut self, part: Part, text: &str) {
        let end = self.used + text.len();
        let Some(place) = self.bytes.get_mut(self.used..end) else {
            self.is_cut = true;
            return;
        };
        place.copy_from_slice(text.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "both are at most 192")]
        let range = (self.used as u8, end as u8);
        self.parts[part as usize] = range;
        self.used = end;
    }

    pub(crate) fn get(&self, part: Part) -> Option<&[u8]> {
        let (start, end) = self.parts[part as usize];
        (start < end).then(|| &self.bytes[usize::from(start)..usize::from(end)])
    }

    /// Whether the name follows from the attributes. Attributes that are not known do not count
    /// against it.
    pub(crate) fn allow(&self, name: &[u8], is_job: bool) -> bool {
        let joined = |first: Option<&[u8]>, second: Option<&[u8]>| match (first, second) {
            (Some(first), Some(second)) => {
                name.len() == first.len() + 1 + second.len()
                    && name.starts_with(first)
                    && name[first.len()] == b' '
                    && name.ends_with(second)
            }
            _ => false,
        };
        let is = |part: Option<&[u8]>| part == Some(name);
        if is_job {
            let (kind, target) = (self.get(Part::JobType), self.get(Part::JobTarget));
            return kind.is_none() || joined(kind, target) || (target.is_none() && is(kind));
        }
        let operation = self.get(Part::Operation);
        let (collection, summary) = (self.get(Part::Collection), self.get(Part::Summary));
        if is(summary) {
            return true;
        }
        if let Some(collection) = collection {
            return joined(operation, Some(collection))
                || (operation.is_none() && is(Some(collection)));
        }
        // Without a collection, any of the wider targets is allowed, or none.
        let targets = [Part::Procedure, Part::Namespace, Part::Address].map(|part| self.get(part));
        match operation {
            Some(_) => {
                is(operation)
                    || targets.into_iter().any(|target| joined(operation, target))
                    || self.get(Part::Address).is_some_and(|address| {
                        // `{operation} {server.address}:{server.port}`
                        let rest = name.strip_prefix(operation.unwrap_or(&[]));
                        rest.and_then(|rest| rest.strip_prefix(b" "))
                            .and_then(|rest| rest.strip_prefix(address))
                            .is_some_and(|rest| {
                                rest.starts_with(b":") && rest[1..].iter().all(u8::is_ascii_digit)
                            })
                    })
            }
            None if summary.is_some() => false,
            None => {
                targets.into_iter().any(is)
                    || is(self.get(Part::System))
                    // No attribute to build a name from: other rules report that.
                    || (targets.iter().all(Option::is_none) && self.get(Part::System).is_none())
            }
        }
    }
}
