//! How much work two documents may be. Few lines can describe schemas that are larger than anybody reads: what they
//! refer to is looked at once for each way that leads there.

/// Keywords, members and values that are looked at in two documents.
const STEPS: usize = 5_000_000;

/// What is left of the work that two documents may be.
pub(super) struct Budget {
    left: usize,
    /// The first place that lay too deep; empty once that was said.
    deep: Option<String>,
    /// Whether it was said that nothing is left.
    said: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: STEPS,
            deep: None,
            said: false,
        }
    }
}

impl Budget {
    pub(super) const fn spend(&mut self, steps: usize) {
        self.left = self.left.saturating_sub(steps);
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// A place lies too deep to be looked at.
    pub(super) fn too_deep(&mut self, what: &str) {
        if self.deep.is_none() {
            self.deep = Some(what.chars().take(200).collect());
        }
    }

    /// Why not everything was compared: each reason once, when it first holds.
    pub(super) fn why(&mut self) -> Option<String> {
        if self.is_spent() && !self.said {
            self.said = true;
            return Some(
                "the schemas of the document are too many and too large to be compared further: what else changed is not told"
                    .to_owned(),
            );
        }
        let deep = self.deep.as_mut().filter(|deep| !deep.is_empty())?;
        let place = std::mem::take(deep);
        Some(format!(
            "the document is nested too deep to be compared beyond {place}: what changed there is not told"
        ))
    }
}
