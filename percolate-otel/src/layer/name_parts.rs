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
        let [summary, collection, procedure, namespace, address, system] = [
            Part::Summary,
            Part::Collection,
            Part::Procedure,
            Part::Namespace,
            Part::Address,
            Part::System,
        ]
        .map(|part| self.get(part));
        if summary.is_some() {
            return is(summary);
        }
        let target = collection.or(procedure).or(namespace);
        match (operation, target) {
            (Some(_), Some(_)) => joined(operation, target),
            (None, Some(_)) => is(target),
            (Some(operation), None) => name.strip_prefix(operation).is_some_and(|rest| {
                rest.is_empty()
                    || rest
                        .strip_prefix(b" ")
                        .is_some_and(|rest| is_address(rest, address))
            }),
            // Without an attribute to build a name from, other rules report that.
            (None, None) => {
                is_address(name, address) || is(system) || (address.is_none() && system.is_none())
            }
        }
    }
}

/// Whether `text` is `{server.address}` or `{server.address}:{server.port}`.
fn is_address(text: &[u8], address: Option<&[u8]>) -> bool {
    let rest = address.and_then(|address| text.strip_prefix(address));
    rest.is_some_and(|rest| match rest {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    })
}
