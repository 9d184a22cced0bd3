//! How often each of the things happened that may happen: what is never reached is not tested.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) operations: u64,
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    pub(crate) spent: u64,
    pub(crate) leased: u64,
    pub(crate) given_back: u64,
    pub(crate) settled: u64,
    pub(crate) more: u64,
    pub(crate) taken_back: u64,
    pub(crate) again: u64,
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) credits: u64,
    pub(crate) crashes: u64,
    pub(crate) failed: u64,
    pub(crate) forgotten: u64,
    pub(crate) isolates: u64,
    pub(crate) set_back: u64,
    pub(crate) jumps: u64,
    pub(crate) waits: u64,
    pub(crate) days: u64,
    pub(crate) set_anew: u64,
}

impl Counts {
    fn fields(&mut self) -> [(&'static str, &mut u64); 21] {
        [
            ("admitted", &mut self.admitted),
            ("refused", &mut self.refused),
            ("spent", &mut self.spent),
            ("leased", &mut self.leased),
            ("given back", &mut self.given_back),
            ("settled", &mut self.settled),
            ("more", &mut self.more),
            ("taken back", &mut self.taken_back),
            ("again", &mut self.again),
            ("lost", &mut self.lost),
            ("late", &mut self.late),
            ("credits", &mut self.credits),
            ("crashes", &mut self.crashes),
            ("failed writes", &mut self.failed),
            ("forgotten", &mut self.forgotten),
            ("isolates", &mut self.isolates),
            ("set back", &mut self.set_back),
            ("jumps", &mut self.jumps),
            ("waits", &mut self.waits),
            ("days that began", &mut self.days),
            ("clocks set anew", &mut self.set_anew),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        let mut other = other.clone();
        for ((_, mine), (_, its)) in self.fields().into_iter().zip(other.fields()) {
            *mine += *its;
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.clone()
            .fields()
            .into_iter()
            .map(|(name, count)| (name, *count))
            .collect()
    }
}
