//! Of which limit a refused request is told: of the one that holds it back longest, whatever object keeps it.
//!
//! An object tells the strictest of its own limits. Where a request has more objects to ask when one refuses, these
//! are looked at, and nothing is charged there: otherwise the client would come back when the first limit lets it,
//! only to hear of the next. A flood is not looked up again and again: for a moment after a look, whoever the same
//! object refuses in the same isolate is told at once, of what was found then, where that is a limit of its own too.

use serde::{Deserialize, Serialize};
use turnpike_policy::Compiled;

use super::spread::Stricter;
use super::subject::Group;
use super::{Admission, Asked, Memory, Round, Turn, Unmetered, verdict};
use crate::authorize::Permit;
use crate::error::Refusal;
use crate::meter::{Answer, Outcome};

/// A refusal that waits until the other objects are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    /// The place of the objects to do that refused first.
    first: u32,
    /// That of those whose limit holds it back longest, the limit's in its group, and how long to wait.
    todo: u32,
    limit: u32,
    wait: u64,
    /// How many objects may keep something for the request.
    upto: u32,
}

impl Round<'_> {
    /// An object of a group has refused, perhaps the second one of it: looks at the rest, or says so.
    pub(super) fn refuse(
        self,
        policy: &Compiled,
        permit: Permit,
        mut asked: Asked,
        (answer, second): (&Answer, bool),
        memory: &mut Memory,
    ) -> Result<Admission, Unmetered> {
        let place = asked.place();
        // What was charged in the end keeps its place until it is settled; the rest was only tried.
        let (upto, more) = match asked.turn {
            Turn::Reserve(_) => (place, place + 1 < asked.todo.len()),
            Turn::Confirm(_) => (asked.todo.len(), false),
        };
        let group = self.group(asked.todo.get(place).ok_or_else(super::nobody_asked)?)?;
        let looks = more && !memory.spread.is_full(group, self.now);
        if second || looks {
            memory.spread.refused(group, self.now);
        }
        let (
            Outcome::Refused {
                limit,
                retry_after_ms,
            },
            true,
        ) = (answer.outcome, looks)
        else {
            let refusal = match self.known_stricter(group, answer, memory) {
                Some((group, said)) => {
                    asked.note(self.group_of(&asked, place)?, answer);
                    verdict::refused(&permit, &self, group, &said, &asked)
                }
                None => verdict::refused(&permit, &self, group, answer, &asked),
            };
            return Err(self.failed(&asked, refusal, upto, memory));
        };
        asked.note(group, answer);
        self.undo(&asked, u32::MAX, memory, self.now);
        let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        asked.refused = Some(Refused {
            first: number(place),
            todo: number(place),
            limit,
            wait: retry_after_ms,
            upto: number(upto),
        });
        asked.turn = Turn::Reserve(number(place + 1));
        Ok(self.ask_or_admit(policy, permit, asked)?)
    }

    /// Another object was looked at, after one had refused; `None`: it did not answer.
    pub(super) fn looked(
        self,
        policy: &Compiled,
        permit: Permit,
        mut asked: Asked,
        mut refused: Refused,
        answer: Option<&Answer>,
        memory: &mut Memory,
    ) -> Result<Admission, Unmetered> {
        let place = asked.place();
        if let Some(answer) = answer {
            let todo = asked.todo.get(place).ok_or_else(super::nobody_asked)?;
            let group = self.group(todo)?;
            // Of a part of a limit it is not known what the others have left.
            if let Outcome::Refused {
                limit,
                retry_after_ms,
            } = answer.outcome
                && group.split.is_none()
                && retry_after_ms > refused.wait
            {
                refused.todo = u32::try_from(place).unwrap_or(u32::MAX);
                (refused.limit, refused.wait) = (limit, retry_after_ms);
            }
            asked.note(group, answer);
        }
        asked.refused = Some(refused);
        if place + 1 < asked.todo.len() {
            asked.turn = Turn::Reserve(u32::try_from(place + 1).unwrap_or(u32::MAX));
            return Ok(self.ask_or_admit(policy, permit, asked)?);
        }
        let at = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
        let group = self.group_of(&asked, at(refused.todo))?;
        if refused.todo != refused.first
            && let Some(counted) = group.limits.get(at(refused.limit))
        {
            let stricter = Stricter {
                object: group.object.clone(),
                limit: counted.id.to_string(),
                ends: self.now.saturating_add(refused.wait),
            };
            memory
                .spread
                .found(self.group_of(&asked, at(refused.first))?, stricter);
        }
        let said = told(refused.limit, refused.wait);
        let refusal = verdict::refused(&permit, &self, group, &said, &asked);
        Err(Unmetered {
            refusal: Box::new(refusal),
            accounts: self.kept(&asked, at(refused.upto)),
        })
    }
}

impl<'a> Round<'a> {
    /// What was found stricter a moment ago than what a group says, where this request has that limit too.
    fn known_stricter(
        &self,
        group: &Group<'_>,
        answer: &Answer,
        memory: &Memory,
    ) -> Option<(&Group<'a>, Answer)> {
        let Outcome::Refused { retry_after_ms, .. } = answer.outcome else {
            return None;
        };
        let stricter = memory.spread.stricter(group, self.now)?;
        let wait = stricter.ends.checked_sub(self.now)?;
        let its = self.groups.iter().find(|group| group.object == stricter.object)?;
        let place = its
            .limits
            .iter()
            .position(|counted| counted.id == stricter.limit)?;
        (wait > retry_after_ms).then_some((its, told(u32::try_from(place).ok()?, wait)))
    }

    fn group_of(&self, asked: &Asked, todo: usize) -> Result<&Group<'a>, Refusal> {
        self.group(asked.todo.get(todo).ok_or_else(super::nobody_asked)?)
    }
}

/// As an object says that a limit of its group refuses.
fn told(limit: u32, retry_after_ms: u64) -> Answer {
    Answer {
        outcome: Outcome::Refused {
            limit,
            retry_after_ms,
        },
        leased: 0,
        shadowed: 0,
        standings: Vec::new(),
    }
}
