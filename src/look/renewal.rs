//! What the CA says about the renewal of a Cert: asked when it is time to, remembered with an instant drawn once.

use jiff::{SignedDuration, Timestamp};

use crate::ari::{Asker, Said, Word, ask_again, draw};
use crate::journal::{Ari, Window};
use crate::plan::{Lineage, LineageSeen, Origin, latest};

/// Whom to ask now about what: the directory of the CA that issued the lineage's newest Cert, and its id there. Nobody asks
/// about a Cert that has expired, or that another client renews.
#[must_use]
pub fn to_ask<'a>(
    lineage: &Lineage,
    seen: &'a LineageSeen,
    now: Timestamp,
) -> Option<(&'a str, &'a str)> {
    let leaf = seen.leaf.as_ref().filter(|leaf| leaf.not_after > now)?;
    let id = leaf.renewal_id.as_deref()?;
    let from = seen.memory.ordered_from.as_ref()?;
    let known = seen.memory.ari.as_ref().filter(|ari| ari.id == id);
    let is_time = known.is_none_or(|ari| ari.ask_again_at <= now || ari.asked_at > now);
    let is_ours = matches!(lineage.origin, Origin::Issued(_));
    (is_ours && is_time).then_some((&from.directory, id))
}

/// Asks, and answers what is to be remembered; none: nobody could be asked.
pub async fn renewal(asker: &Asker, id: &str, seen: &LineageSeen, now: Timestamp) -> Option<Ari> {
    let said = asker.ask(id, now).await;
    tracing::debug!(id, ?said, "asked when to renew");
    let mut random = [0; 8];
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::debug!(%error, "no random bytes: the middle of the window");
        random = [0x80; 8];
    }
    let (latest, life) = match &seen.leaf {
        Some(leaf) => (latest(seen, leaf), leaf.not_after.duration_since(leaf.not_before)),
        None => (Timestamp::MAX, SignedDuration::MAX),
    };
    let chance = Chance { random: u64::from_be_bytes(random), latest };
    let known = seen.memory.ari.as_ref();
    let before = match known.filter(|ari| ari.id == id) {
        Some(ari) => ari.clone(),
        None => Ari::new(id, known, life, now),
    };
    remembered(before, said, chance, now)
}

/// What decides an instant beside the window.
#[derive(Clone, Copy, Debug)]
struct Chance {
    random: u64,
    /// No later, as far as the window allows.
    latest: Timestamp,
}

impl Chance {
    fn draw(self, start: Timestamp, end: Timestamp) -> Timestamp {
        let end = if self.latest > start { end.min(self.latest) } else { end };
        draw(start, end, self.random)
    }
}

/// What is remembered of an answer. The instant is drawn anew only where the window is another; a good answer outlives
/// bad ones after it.
fn remembered(mut ari: Ari, said: Said, chance: Chance, now: Timestamp) -> Option<Ari> {
    ari.asked_at = now;
    ari.failures = match said.answer {
        Word::Silent(_) => ari.failures.saturating_add(1),
        Word::Window { .. } | Word::NotOffered | Word::Refused(_) | Word::Away(_) => 0,
    };
    ari.ask_again_at = ask_again(&said, ari.failures, now);
    match said.answer {
        Word::Window { start, end, explanation } => {
            let same = ari.window.filter(|old| (old.start, old.end) == (start, end));
            let instant = same.map_or_else(|| chance.draw(start, end), |old| old.instant);
            ari.window = Some(Window { start, end, instant, explanation });
        }
        Word::NotOffered => ari.window = None,
        Word::Refused(_) | Word::Silent(_) => {}
        Word::Away(_) => return None,
    }
    Some(ari)
}

#[cfg(test)]
mod tests;
