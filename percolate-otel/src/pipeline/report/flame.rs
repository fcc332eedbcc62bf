//! [`Flame`]: all traces as one tree of span names, with the number of spans, their duration, and
//! the time in which no span below them was running. Invariant: the tree has [`FLAME_NODES`] nodes at
//! most; other spans are counted as left out.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::trace::SpanData;

use super::super::trace_tree::{TraceTree, is_error, took};
use super::limits::{FLAME_LEVELS, FLAME_NODES};

/// The tree. Its first node is the root, which has no name.
#[derive(Debug)]
pub(super) struct Flame {
    nodes: Vec<FlameNode>,
    /// The number of spans that are not in the tree.
    pub(super) left_out: u64,
}

/// The spans with one path of names.
#[derive(Debug, Default)]
pub(super) struct FlameNode {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) total: Duration,
    /// The duration without that of the spans below. Spans below that run at the same time count
    /// once.
    pub(super) own: Duration,
    children: HashMap<String, usize>,
}

impl Default for Flame {
    fn default() -> Self {
        Self {
            nodes: vec![FlameNode::default()],
            left_out: 0,
        }
    }
}

impl Flame {
    /// Adds the spans of a trace, in the order of their start, of which others were left out.
    pub(super) fn add(&mut self, spans: &[SpanData], left_out: u64) {
        let mut tree = TraceTree::new(spans);
        let mut added = 0;
        for top in std::mem::take(&mut tree.tops) {
            added += self.add_span(&mut tree, top, 0, 1);
        }
        self.left_out += left_out + (spans.len() as u64 - added);
    }

    /// Adds a span and those below it. Returns how many were added.
    fn add_span(
        &mut self,
        tree: &mut TraceTree<'_>,
        span: &SpanData,
        parent: usize,
        level: usize,
    ) -> u64 {
        if level > FLAME_LEVELS {
            return 0;
        }
        let Some(at) = self.node(parent, &span.name) else {
            return 0;
        };
        let children = tree.take_children(span);
        let node = &mut self.nodes[at];
        node.count += 1;
        node.errors += u64::from(is_error(span));
        node.total += took(span);
        node.own += took(span).saturating_sub(covered(span, &children));
        let below: u64 = children
            .into_iter()
            .map(|child| self.add_span(tree, child, at, level + 1))
            .sum();
        below + 1
    }

    fn node(&mut self, parent: usize, name: &str) -> Option<usize> {
        if let Some(known) = self.nodes[parent].children.get(name) {
            return Some(*known);
        }
        if self.nodes.len() > FLAME_NODES {
            return None;
        }
        let at = self.nodes.len();
        self.nodes.push(FlameNode {
            name: name.to_owned(),
            ..FlameNode::default()
        });
        self.nodes[parent].children.insert(name.to_owned(), at);
        Some(at)
    }

    pub(super) fn root(&self) -> &FlameNode {
        &self.nodes[0]
    }

    /// The nodes below a node, by name.
    pub(super) fn below(&self, node: &FlameNode) -> Vec<&FlameNode> {
        let children = node.children.values();
        let mut below: Vec<_> = children.map(|child| &self.nodes[*child]).collect();
        below.sort_by(|left, right| left.name.cmp(&right.name));
        below
    }
}

/// Returns how long at least one of the spans below was running, within the span.
fn covered(span: &SpanData, children: &[&SpanData]) -> Duration {
    let mut covered = Duration::ZERO;
    let mut end = span.start_time;
    // They are in the order of their start.
    for child in children {
        let until = child.end_time.min(span.end_time);
        let from = child.start_time.max(end);
        covered += since(until, from);
        end = end.max(until);
    }
    covered
}

fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::super::trace_tree::tests::span;
    use super::*;

    fn lines(flame: &Flame, node: &FlameNode, indent: usize, lines: &mut Vec<String>) {
        for child in flame.below(node) {
            let FlameNode {
                name,
                count,
                total,
                own,
                ..
            } = child;
            lines.push(format!(
                "{}{name} ×{count} {total:?} {own:?}",
                " ".repeat(indent)
            ));
            self::lines(flame, child, indent + 1, lines);
        }
    }

    #[test]
    fn spans_with_one_path_of_names_are_one_node_and_own_time_is_not_covered_by_children() {
        let mut flame = Flame::default();
        for _ in 0..2 {
            flame.add(
                &[
                    span("load", 1, 0, 0, 100),
                    span("get articles", 2, 1, 10, 20),
                    // Overlaps with the span before, and ends after its parent.
                    span("get articles", 3, 1, 20, 20),
                    span("put articles", 4, 1, 90, 20),
                ],
                0,
            );
        }
        let mut text = Vec::new();
        lines(&flame, flame.root(), 0, &mut text);
        assert_eq!(
            text,
            [
                "load ×2 200µs 120µs",
                " get articles ×4 80µs 80µs",
                " put articles ×2 40µs 40µs"
            ]
        );
    }

    #[test]
    fn nodes_and_levels_are_bounded_and_what_is_left_out_is_counted() {
        let mut flame = Flame::default();
        let spans: Vec<SpanData> = (1..=FLAME_NODES as u64 + 50)
            .map(|id| {
                let mut span = span("", id, 0, 0, 1);
                span.name = format!("name {id}").into();
                span
            })
            .collect();
        flame.add(&spans, 3);
        assert_eq!(flame.left_out, 53);

        let mut flame = Flame::default();
        let deep: Vec<SpanData> = (1..=1000).map(|id| span("x", id, id - 1, id, 1)).collect();
        flame.add(&deep, 0);
        assert_eq!(flame.left_out, 1000 - FLAME_LEVELS as u64);
    }

    #[test]
    fn a_cycle_of_parents_is_left_out() {
        let mut flame = Flame::default();
        flame.add(&[span("a", 1, 2, 0, 1), span("b", 2, 1, 0, 1)], 0);
        assert_eq!(flame.left_out, 2);
    }
}
