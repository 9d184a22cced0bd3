//! A stream passed on and followed, as the shell does (`src/relay.js`), to a client that stays.

use turnpike_engine::relay::Tracking;
use turnpike_engine::step::{CommitOn, Ending, Relay, StreamEnd};
use turnpike_policy::Timestamp;

use super::client::{Streamed, owned};
use super::outside::Does;

/// How passing a stream on went.
pub(super) struct Relayed {
    /// When it ended.
    pub(super) at: Timestamp,
    pub(super) tracking: Vec<u8>,
    pub(super) end: StreamEnd,
    pub(super) committed: bool,
    pub(super) answer: Streamed,
}

pub(super) fn relay(relay: Relay, does: Option<&Does>, now: Timestamp) -> Result<Relayed, String> {
    let Some(Does::Answers { pieces, end, .. }) = does else {
        return Err("there is no stream to pass on".to_owned());
    };
    let mut at = now;
    let mut late = now.saturating_add(relay.within);
    let mut tracking = relay.tracking;
    let mut committed = relay.commit == CommitOn::Head;
    let mut client = Vec::new();
    let mut held: Vec<u8> = Vec::new();
    let mut how = None;
    let broken = |error: postcard::Error| format!("a stream cannot be followed: {error}");
    for (wait, piece) in pieces {
        let comes = at.saturating_add(*wait);
        if comes > late {
            at = late;
            how = Some(StreamEnd::Late);
            break;
        }
        at = comes;
        let mut followed: Tracking = postcard::from_bytes(&tracking).map_err(broken)?;
        let mut passed = Vec::new();
        let progress = followed.feed(piece, at, &mut passed);
        tracking = postcard::to_stdvec(&followed).map_err(broken)?;
        late = at.saturating_add(progress.within);
        if relay.commit == CommitOn::FirstToken && progress.started && !progress.failed {
            committed = true;
        }
        held.extend_from_slice(if relay.filter { &passed } else { piece });
        if progress.failed && !committed {
            break;
        }
        if !committed && held.len() > usize::try_from(relay.hold).unwrap_or(usize::MAX) {
            how = Some(StreamEnd::TooLarge);
            break;
        }
        if committed {
            client.append(&mut held);
        }
    }
    let how = how.unwrap_or(match end {
        Ending::Close => StreamEnd::Closed,
        Ending::Lose => StreamEnd::Lost,
        Ending::Stall => {
            at = late.max(at);
            StreamEnd::Late
        }
    });
    // What was held back is the client's when the stream turns out to be whole.
    client.append(&mut held);
    Ok(Relayed {
        at,
        tracking,
        end: how,
        committed,
        answer: Streamed {
            status: relay.status,
            headers: owned(relay.set),
            body: client,
        },
    })
}
