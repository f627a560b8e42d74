//! Who depends on whom.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

/// A node of a [`Graph`], by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Node(pub u32);

impl Node {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A graph that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// More nodes than are looked at.
    #[error("{nodes} nodes are not allowed: at most {allowed}")]
    TooLarge {
        /// How many there are.
        nodes: usize,
        /// How many may be.
        allowed: usize,
    },
    /// A dependency names a node that does not exist.
    #[error("node {node} is not allowed in a dependency: there are {nodes}")]
    Unknown {
        /// The node.
        node: u32,
        /// How many there are.
        nodes: usize,
    },
}

/// Nodes and what each depends on; cycles are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    uses: Vec<Vec<Node>>,
    used_by: Vec<Vec<Node>>,
}

/// Nodes that are looked at.
const NODES: usize = 10_000;

impl Graph {
    /// Makes a graph of that many nodes out of pairs: who depends, on whom.
    ///
    /// # Errors
    /// When it is too large, or a pair names a node that does not exist.
    pub fn new(
        nodes: usize,
        dependencies: impl IntoIterator<Item = (Node, Node)>,
    ) -> Result<Self, GraphError> {
        if nodes > NODES {
            return Err(GraphError::TooLarge {
                nodes,
                allowed: NODES,
            });
        }
        let mut pairs = BTreeSet::new();
        for (one, other) in dependencies {
            if let Some(bad) = [one, other].iter().find(|node| node.index() >= nodes) {
                return Err(GraphError::Unknown { node: bad.0, nodes });
            }
            if one != other {
                pairs.insert((one, other));
            }
        }
        let (mut uses, mut used_by) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        for (one, other) in pairs {
            uses[one.index()].push(other);
            used_by[other.index()].push(one);
        }
        Ok(Self { uses, used_by })
    }

    /// Returns how many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// Tells whether there are no nodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    /// Returns what a node depends on directly.
    #[must_use]
    pub fn uses(&self, node: Node) -> &[Node] {
        self.uses.get(node.index()).map_or(&[], Vec::as_slice)
    }

    /// Returns which nodes depend on it directly.
    #[must_use]
    pub fn used_by(&self, node: Node) -> &[Node] {
        self.used_by.get(node.index()).map_or(&[], Vec::as_slice)
    }

    /// Returns a node and all it depends on, with the number of steps, nearest first.
    #[must_use]
    pub fn reached_from(&self, node: Node) -> Vec<(Node, u32)> {
        self.walk(node, |at| self.uses(at))
    }

    /// Returns a node and all that depend on it, with the number of steps, nearest first.
    #[must_use]
    pub fn reaching(&self, node: Node) -> Vec<(Node, u32)> {
        self.walk(node, |at| self.used_by(at))
    }

    fn walk<'a>(&'a self, start: Node, next: impl Fn(Node) -> &'a [Node]) -> Vec<(Node, u32)> {
        if start.index() >= self.len() {
            return Vec::new();
        }
        let mut seen = vec![false; self.len()];
        let mut found = Vec::new();
        let mut open = VecDeque::from([(start, 0)]);
        seen[start.index()] = true;
        while let Some((node, steps)) = open.pop_front() {
            found.push((node, steps));
            for other in next(node) {
                if !std::mem::replace(&mut seen[other.index()], true) {
                    open.push_back((*other, steps + 1));
                }
            }
        }
        found
    }
}
