//! What a run came to, and what it would have cost.

/// Counted while it ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that came.
    pub(crate) requests: u64,
    /// For how many seconds.
    pub(crate) seconds: u64,
    /// Requests that passed.
    pub(crate) admitted: u64,
    /// Requests that were refused by a limit.
    pub(crate) refused: u64,
    /// Requests that nobody decided: their object was overloaded or lost its memory.
    pub(crate) unanswered: u64,
    /// Of these, those that the platform turned away from a queue that was too long.
    pub(crate) turned_away: u64,
    /// Requests that passed against the law.
    pub(crate) over: u64,
    /// Requests that the ideal limiter lets pass.
    pub(crate) ideally: u64,
    /// How many fewer passed than that, over the subjects for which it is fewer.
    pub(crate) missed: u64,
    /// Calls of objects.
    pub(crate) round_trips: u64,
    /// What limits added to each request, in microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    /// Subjects that called.
    pub(crate) subjects: u64,
    /// Isolates at work.
    pub(crate) isolates: u64,
    /// Objects that were asked.
    pub(crate) objects: u64,
    /// The most calls that one of them had in a second.
    pub(crate) busiest: u32,
    /// How many had more in some second than they can do.
    pub(crate) overloaded: u64,
    /// Rows that were written, an alarm that was set included.
    pub(crate) rows: u64,
    /// Alarms that were set.
    pub(crate) alarms: u64,
    /// Rows that were read.
    pub(crate) reads: u64,
    /// For how long objects were at work, in microseconds.
    pub(crate) active: u64,
    /// The bytes that they stored at the most.
    pub(crate) stored: u64,
    /// The bytes that they had in memory at the end.
    pub(crate) state: u64,
    /// Objects that lost their memory while they were busy.
    pub(crate) restarts: u64,
}

/// Cloudflare's published prices of the paid plan, in US dollars beyond what it includes. Source: "Durable Objects
/// pricing" and "Workers pricing" in the Cloudflare documentation, as read on 2026-11-22.
pub(crate) mod prices {
    /// When they were read.
    pub(crate) const READ: &str = "2026-11-22";
    /// A million calls of objects; alarms are calls.
    pub(crate) const CALLS: f64 = 0.15;
    /// A million GB-s of objects that are at work. Each counts with 128 MB.
    pub(crate) const DURATION: f64 = 12.50;
    /// What one object counts with, in GB.
    pub(crate) const MEMORY: f64 = 0.128;
    /// A million rows written; setting an alarm is one, deleting is one.
    pub(crate) const ROWS_WRITTEN: f64 = 1.00;
    /// A million rows read.
    pub(crate) const ROWS_READ: f64 = 0.001;
    /// A GB stored for a month.
    pub(crate) const STORED: f64 = 0.20;
    /// What an object's database takes before anything of ours is in it, in bytes.
    pub(crate) const DATABASE: f64 = 12_000.0;
    /// A million requests of the Worker itself: for comparison, limits or not.
    pub(crate) const WORKER: f64 = 0.30;
}

/// Dollars for a million requests, by what they are for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dollars {
    /// Calls and alarms.
    pub(crate) calls: f64,
    /// Time at work.
    pub(crate) duration: f64,
    /// Rows written and read.
    pub(crate) rows: f64,
    /// Storage.
    pub(crate) stored: f64,
}

impl Dollars {
    /// All of it.
    pub(crate) fn sum(&self) -> f64 {
        self.calls + self.duration + self.rows + self.stored
    }
}

impl Outcome {
    /// A share of all requests, in percent.
    pub(crate) fn percent(&self, of: u64) -> f64 {
        of as f64 * 100.0 / self.requests.max(1) as f64
    }

    /// Round trips for a thousand requests.
    pub(crate) fn trips(&self) -> f64 {
        self.round_trips as f64 * 1_000.0 / self.requests.max(1) as f64
    }

    /// What limits added, in milliseconds, for this share of the requests.
    pub(crate) fn latency(&self, share: f64) -> f64 {
        let index = (self.latencies.len() as f64 * share) as usize;
        let found = self.latencies.get(index).or(self.latencies.last());
        found.map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }

    /// What a million requests cost.
    pub(crate) fn dollars(&self) -> Dollars {
        let each = 1.0 / self.requests.max(1) as f64;
        let databases = if self.rows > 0 { self.objects as f64 } else { 0.0 };
        let gigabytes = (self.stored as f64 + databases * prices::DATABASE) / 1e9;
        // Until its alarm some ten minutes after it was asked last.
        let months = (self.seconds as f64 + 600.0) / (30.0 * 86_400.0);
        Dollars {
            calls: (self.round_trips + self.alarms) as f64 * each * prices::CALLS,
            duration: self.active as f64 / 1e6 * prices::MEMORY * each * prices::DURATION,
            // What an alarm deletes at the end is a row, too.
            rows: ((self.rows + self.alarms) as f64 * prices::ROWS_WRITTEN
                + self.reads as f64 * prices::ROWS_READ)
                * each,
            stored: gigabytes * months * prices::STORED * each * 1e6,
        }
    }
}
