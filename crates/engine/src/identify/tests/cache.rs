use super::super::bound::Bound;
use super::super::cache::{Entry, MAX_BYTES, MAX_ENTRIES, TokenCache};
use super::super::claims::Window;
use super::super::{CredentialKind, Principal};
use super::NOW;

fn entry(subject: &str) -> Entry {
    Entry {
        principal: Principal {
            claims: Vec::new(),
            consumer: 0,
            issuer: Some(0),
            subject: subject.to_owned(),
            scopes: vec!["a".to_owned()],
            credential: CredentialKind::Token,
            expires: Some(NOW + 1000),
        },
        window: Window::new(NOW, NOW + 1000),
        issuer: 0,
        generation: 1,
        bound: Bound::default(),
    }
}

fn put(cache: &mut TokenCache, token: &str) {
    let digest = cache.digest(token);
    cache.insert(digest, entry(token));
}

fn has(cache: &mut TokenCache, token: &str) -> bool {
    let digest = cache.digest(token);
    cache
        .get(&digest, NOW)
        .is_some_and(|entry| entry.principal.subject == token)
}

#[test]
fn what_is_put_in_is_found_while_it_is_good() {
    let mut cache = TokenCache::new(&[1; 32], 10, 10_000);
    assert!(!has(&mut cache, "a"));
    put(&mut cache, "a");
    assert!(has(&mut cache, "a") && !has(&mut cache, "b"));
    let digest = cache.digest("a");
    assert!(cache.get(&digest, NOW - 1).is_none());
    assert!(cache.get(&digest, NOW + 999).is_some());
    assert!(cache.get(&digest, NOW + 1000).is_none());
    put(&mut cache, "a");
    assert_eq!(cache.size().0, 1);
}

#[test]
fn a_token_has_another_name_under_another_policy() {
    let names = [[1; 32], [2; 32]].map(|hash| TokenCache::new(&hash, 10, 10_000).digest("a"));
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_token_that_is_kept_whole_has_the_name_that_hashing_gives() {
    let fresh = TokenCache::new(&[1; 32], 10, 10_000);
    let mut cache = TokenCache::new(&[1; 32], 10, 10_000);
    // All end alike, so they share one place: keeping one must not name another.
    let tokens = ["a.b.signature", "a.c.signature", "signature", ""];
    for token in tokens {
        let name = cache.digest(token);
        cache.keep(token, name);
        for other in tokens {
            assert_eq!(cache.digest(other), fresh.digest(other), "{other} after {token}");
        }
    }
}

#[test]
fn entries_are_bounded_and_used_ones_stay() {
    let mut cache = TokenCache::new(&[1; 32], 100, usize::MAX / 2);
    put(&mut cache, "used");
    for i in 0..10_000 {
        put(&mut cache, &format!("{i}"));
        assert!(cache.size().0 <= 100);
        assert!(has(&mut cache, "used"), "{i}");
    }
    assert!(has(&mut cache, "9999") && has(&mut cache, "9950") && !has(&mut cache, "0"));
    // Even if all were used, there is room for one more.
    let mut cache = TokenCache::new(&[1; 32], 3, 10_000);
    for token in ["a", "b", "c"] {
        put(&mut cache, token);
        assert!(has(&mut cache, token));
    }
    put(&mut cache, "d");
    assert!(has(&mut cache, "d") && !has(&mut cache, "a"));
    assert_eq!(cache.size().0, 3);
}

#[test]
fn bytes_are_bounded() {
    let mut cache = TokenCache::new(&[1; 32], 1000, 20_000);
    for i in 0..1000 {
        put(&mut cache, &format!("{i}{}", "x".repeat(i % 255)));
        assert!(cache.size().1 <= 20_000);
    }
    let (entries, bytes) = cache.size();
    assert!(entries > 10 && bytes > 15_000, "{entries} {bytes}");
    // What is larger than all of it pushes nothing out.
    let digest = cache.digest("huge");
    cache.insert(digest, entry(&"x".repeat(30_000)));
    assert_eq!(cache.size(), (entries, bytes));
    let mut none = TokenCache::new(&[1; 32], 0, 20_000);
    put(&mut none, "a");
    assert_eq!(none.size(), (0, 0));
}

/// The share of requests that find their token remembered, in thousandths, after as many again that warmed the cache
/// up; and what it takes. `pick` says who calls, of a random number.
fn hits(pick: impl Fn(u64) -> u64) -> (u64, usize, usize) {
    const REQUESTS: u64 = 40_000;
    let mut cache = TokenCache::new(&[1; 32], MAX_ENTRIES, MAX_BYTES);
    let (mut state, mut hits) = (7_u64, 0);
    for request in 0..2 * REQUESTS {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let token = format!("token-of-{}", pick(state >> 33));
        if has(&mut cache, &token) {
            hits += u64::from(request >= REQUESTS);
        } else {
            put(&mut cache, &token);
        }
    }
    let (entries, bytes) = cache.size();
    (hits * 1000 / REQUESTS, entries, bytes)
}

#[test]
fn so_many_callers_are_remembered() {
    // The n-th caller calls as often as 1/n says: the inverse of the harmonic sum, by halves.
    let harmonic: Vec<f64> = (1..=100_000_u32)
        .scan(0.0, |sum, n| {
            *sum += 1.0 / f64::from(n);
            Some(*sum)
        })
        .collect();
    let most = harmonic[harmonic.len() - 1];
    let zipf = |random: u64| {
        let wanted = f64::from(u32::try_from(random).unwrap()) / f64::from(1_u32 << 31) * most;
        harmonic.partition_point(|sum| *sum < wanted) as u64
    };
    let mut rows = Vec::new();
    for (callers, least, hits) in [
        ("4,000, all alike", 995, hits(|random| random % 4_000)),
        ("8,000, all alike", 450, hits(|random| random % 8_000)),
        ("100,000, as 1/n", 650, hits(zipf)),
    ] {
        let (share, entries, bytes) = hits;
        rows.push(format!(
            "{callers}: {share} of 1,000 remembered; {entries} tokens, {bytes} bytes"
        ));
        assert!(
            share >= least && entries <= MAX_ENTRIES && bytes <= MAX_BYTES,
            "{rows:#?}"
        );
    }
    println!("{rows:#?}");
}
