//! Where things are, and how long it takes from one to the other.
//!
//! Points of presence lie in cities. A message takes the great circle at the speed of light in fibre, longer by
//! what routes are longer than that, and a constant at both ends.

use rand::RngExt;
use rand_distr::{Distribution, weighted::WeightedIndex};
use rand_pcg::Pcg64Mcg;

/// Microseconds.
pub(crate) type Micros = u64;

/// Name, latitude, longitude, and millions of people on line around it (a rough weight, nothing else).
const CITIES: &str = include_str!("cities.csv");
/// How far light gets in fibre in a millisecond, in kilometres.
const FIBRE: f64 = 200.0;
/// How much longer routes are than great circles.
const DETOUR: f64 = 1.3;
/// What a message takes on top of its way: machines at both ends, one direction.
const ENDS: Micros = 400;
/// Of a city: how many requests a second one isolate serves before there is another.
const PER_ISOLATE: f64 = 150.0;
/// Each city has at least as many isolates.
const FEWEST: u32 = 3;

/// The points of presence.
pub(crate) struct World {
    /// One direction, from one to another, in microseconds.
    ways: Vec<Vec<u32>>,
    by_weight: WeightedIndex<f64>,
    /// The isolates of each: the first, and how many.
    isolates: Vec<(u32, u32)>,
}

impl World {
    /// With so many requests a second over all.
    pub(crate) fn new(rate: f64) -> Self {
        let cities: Vec<(f64, f64, f64)> = CITIES.lines().map(city).collect();
        let ways = cities
            .iter()
            .map(|from| cities.iter().map(|to| way(from, to)).collect())
            .collect();
        let all: f64 = cities.iter().map(|city| city.2).sum();
        let mut first = 0;
        let isolates = cities
            .iter()
            .map(|city| {
                let count = ((rate * city.2 / all / PER_ISOLATE).ceil() as u32).max(FEWEST);
                first += count;
                (first - count, count)
            })
            .collect();
        Self {
            ways,
            by_weight: WeightedIndex::new(cities.iter().map(|city| city.2)).expect("cities have weights"),
            isolates,
        }
    }

    /// How many isolates there are.
    pub(crate) fn isolates(&self) -> u32 {
        self.isolates.iter().map(|(_, count)| count).sum()
    }

    /// A point of presence, by the people around it.
    pub(crate) fn place(&self, random: &mut Pcg64Mcg) -> u16 {
        self.by_weight.sample(random) as u16
    }

    /// One of its isolates.
    pub(crate) fn isolate(&self, place: u16, random: &mut Pcg64Mcg) -> u32 {
        let (first, count) = self.isolates[usize::from(place)];
        first + random.random_range(0..count)
    }

    /// How long a message takes from one to another, now.
    pub(crate) fn way(&self, from: u16, to: u16, random: &mut Pcg64Mcg) -> Micros {
        let way = Micros::from(self.ways[usize::from(from)][usize::from(to)]);
        // Some messages are late: mostly by little, one in a hundred by half as much again.
        let late = if random.random_ratio(1, 100) { 50 } else { 5 };
        way + way * random.random_range(0..=late) / 100
    }
}

fn city(line: &str) -> (f64, f64, f64) {
    let mut numbers = line
        .split(',')
        .skip(1)
        .map(|number| number.parse().expect("a number"));
    let mut next = || numbers.next().expect("name,latitude,longitude,weight");
    (next(), next(), next())
}

/// One direction, in microseconds.
fn way(a: &(f64, f64, f64), b: &(f64, f64, f64)) -> u32 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let (across, down) = ((b.1 - a.1).to_radians(), lat_b - lat_a);
    let h = (down / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (across / 2.0).sin().powi(2);
    let kilometres = 2.0 * 6_371.0 * h.sqrt().min(1.0).asin();
    (kilometres * DETOUR / FIBRE * 1_000.0) as u32 + ENDS as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_300_places_and_light_is_not_outrun() {
        let world = World::new(1_000.0);
        assert_eq!(world.ways.len(), 300);
        assert_eq!(world.isolates(), 900);
        let of = |name: &str| {
            CITIES
                .lines()
                .position(|line| line.starts_with(&format!("{name},")))
                .unwrap()
        };
        for (from, to, kilometres) in [
            ("London", "New York", 5_570.0),
            ("Sydney", "Frankfurt", 16_500.0),
            ("Tokyo", "Singapore", 5_320.0),
        ] {
            let way = f64::from(world.ways[of(from)][of(to)]) / 1_000.0;
            let straight = kilometres / FIBRE;
            assert!(way > straight && way < straight * 1.45, "{from} {to}: {way} ms");
            assert_eq!(world.ways[of(from)][of(to)], world.ways[of(to)][of(from)]);
        }
        assert_eq!(world.ways[7][7], 400);
    }
}
