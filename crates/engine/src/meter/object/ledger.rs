//! What operators look at and give back ([`Order`]), and what of it the object keeps.

use turnpike_policy::Timestamp;

use super::{Decided, Law, State, choose, closed, prune, reach, standings};
use crate::meter::correction::{Credit, Credited, Given, Order, Report};
use crate::meter::{Asked, MeterError};

/// The most credits that one object keeps.
pub(super) const MAX_CREDITS: usize = 64;

/// When the last credit is forgotten; 0: there is none.
pub(super) fn over(credits: &[Credited<'_>]) -> Timestamp {
    credits.iter().map(|credit| credit.until).max().unwrap_or(0)
}

/// Takes an order.
pub(super) fn take<'a>(
    mut state: State<'a>,
    order: &Order<'a>,
    now: Timestamp,
) -> Result<Decided, MeterError> {
    let wall = now;
    let (now, late) = reach(&mut state, now);
    prune(&mut state, now);
    let (chosen, seeded) = choose(&mut state.records, &order.limits, now)?;
    let mut write = seeded || late;
    let mut given = Given::Nothing;
    if let (Some(credit), Some(asked), Some(Some(index))) =
        (&order.credit, order.limits.first(), chosen.first())
    {
        given = give(&mut state, credit, asked, *index, now);
        write |= matches!(given, Given::Booked(_));
    }
    let standings = standings(&state, &order.limits, &chosen, wall);
    prune(&mut state, now);
    let report = Report {
        given,
        standings,
        credits: state.credits.clone(),
    };
    let answer = report.encode()?;
    closed(state, answer, write.then_some(false))
}

/// Books a credit to a limit, judged by the record at this place.
fn give<'a>(
    state: &mut State<'a>,
    credit: &Credit<'a>,
    asked: &Asked<'a>,
    index: usize,
    now: Timestamp,
) -> Given {
    if let Some(known) = state.credits.iter().find(|known| known.id == credit.id) {
        // Asked for again, as its answer was lost.
        return if (known.limit, known.asked) == (asked.id, credit.amount) {
            Given::Before(known.booked)
        } else {
            Given::Taken
        };
    }
    if state.credits.len() >= MAX_CREDITS {
        return Given::Full;
    }
    let owed = |law: Option<&Law>| law.map_or(0, |law| law.owed(now));
    let law = |state: &State<'a>| state.records.get(index).map(|record| record.law);
    let before = law(state);
    // What two versions of the policy count, both are given back.
    for record in &mut state.records {
        if record.id == asked.id && record.law.counts_for(&asked.kind) {
            record.law = record.law.credit(now, credit.amount);
        }
    }
    let booked = owed(before.as_ref()).saturating_sub(owed(law(state).as_ref()));
    state.credits.push(Credited {
        id: credit.id,
        limit: asked.id,
        asked: credit.amount,
        booked,
        at: now,
        until: before.map_or(now, |law| law.ends(now)),
        by: credit.by,
        reason: credit.reason,
    });
    Given::Booked(booked)
}
