//! What a run came to, and what it would have cost.

/// Counted while it ran.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests that came.
    pub requests: u64,
    /// For how many seconds.
    pub seconds: u64,
    /// Requests that passed.
    pub admitted: u64,
    /// Requests that were refused by a limit.
    pub refused: u64,
    /// Requests that nobody decided: their object was overloaded or lost its memory.
    pub unanswered: u64,
    /// Of these, those that the platform turned away from a queue that was too long.
    pub turned_away: u64,
    /// Requests that passed against the law.
    pub over: u64,
    /// Requests that the ideal limiter lets pass.
    pub ideally: u64,
    /// How many fewer passed than that, over the subjects for which it is fewer.
    pub missed: u64,
    /// Calls of objects.
    pub round_trips: u64,
    /// What limits added to each request, in microseconds, sorted.
    pub latencies: Vec<u32>,
    /// Subjects that called.
    pub subjects: u64,
    /// Isolates at work.
    pub isolates: u64,
    /// Objects that were asked.
    pub objects: u64,
    /// The most calls that one of them had in a second.
    pub busiest: u32,
    /// How many had more in some second than they can do.
    pub overloaded: u64,
    /// Rows that were written, an alarm that was set included.
    pub rows: u64,
    /// Alarms that were set.
    pub alarms: u64,
    /// Rows that were read.
    pub reads: u64,
    /// For how long objects were at work, in microseconds.
    pub active: u64,
    /// The bytes that they stored at the most.
    pub stored: u64,
    /// The bytes that they had in memory at the end.
    pub state: u64,
    /// Objects that lost their memory while they were busy.
    pub restarts: u64,
}

/// Cloudflare's published prices of the paid plan, in US dollars beyond what it includes. Source: "Durable Objects
/// pricing" and "Workers pricing" in the Cloudflare documentation, as read on 2026-11-22.
pub mod prices {
    /// When they were read.
    pub const READ: &str = "2026-11-22";
    /// A million calls of objects; alarms are calls.
    pub const CALLS: f64 = 0.15;
    /// A million GB-s of objects that are at work. Each counts with 128 MB.
    pub const DURATION: f64 = 12.50;
    /// What one object counts with, in GB.
    pub const MEMORY: f64 = 0.128;
    /// A million rows written; setting an alarm is one, deleting is one.
    pub const ROWS_WRITTEN: f64 = 1.00;
    /// A million rows read.
    pub const ROWS_READ: f64 = 0.001;
    /// A GB stored for a month.
    pub const STORED: f64 = 0.20;
    /// What an object's database takes before anything of ours is in it, in bytes.
    pub const DATABASE: f64 = 12_000.0;
    /// A million requests of the Worker itself: for comparison, limits or not.
    pub const WORKER: f64 = 0.30;
}

/// Dollars for a million requests, by what they are for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dollars {
    /// Calls and alarms.
    pub calls: f64,
    /// Time at work.
    pub duration: f64,
    /// Rows written and read.
    pub rows: f64,
    /// Storage.
    pub stored: f64,
}

impl Dollars {
    /// All of it.
    pub fn sum(&self) -> f64 {
        self.calls + self.duration + self.rows + self.stored
    }
}

impl Outcome {
    /// A share of all requests, in percent.
    pub fn percent(&self, of: u64) -> f64 {
        of as f64 * 100.0 / self.requests.max(1) as f64
    }

    /// Round trips for a thousand requests.
    pub fn trips(&self) -> f64 {
        self.round_trips as f64 * 1_000.0 / self.requests.max(1) as f64
    }

    /// What limits added, in milliseconds, for this share of the requests.
    pub fn latency(&self, share: f64) -> f64 {
        let index = (self.latencies.len() as f64 * share) as usize;
        let found = self.latencies.get(index).or(self.latencies.last());
        found.map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }

    /// What a million requests cost.
    pub fn dollars(&self) -> Dollars {
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
