//! Foreign certificates on discovered targets. Nobody named these targets: what somebody else has put there stays for
//! most of its life. Pure.

use jiff::{SignedDuration, Timestamp};

use super::{Foreign, Lineage, Origin, Owned, Served, Standing, TargetSeen};
use crate::cert::{Fingerprint, Leaf};
use crate::journal::LineageMemory;

/// What speaks for it that a served certificate is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// Some lineage of this store has had it.
    pub remembered: bool,
    /// Its CertName is one that we give.
    pub by_name: bool,
}

/// When the last third of a certificate's life begins: from then on a foreign one is replaced.
fn last_third(leaf: &Leaf) -> Timestamp {
    let third = leaf.not_after.duration_since(leaf.not_before).as_secs() / 3;
    leaf.not_after.checked_sub(SignedDuration::from_secs(third)).unwrap_or(leaf.not_before)
}

/// Is the certificate that a target serves somebody else's?
fn is_foreign(served: &Leaf, succession: &[Fingerprint], ours: Ours) -> bool {
    !ours.remembered && !ours.by_name && !succession.contains(&served.fingerprint)
}

/// How a discovered target stands apart: it is left alone, or nobody can tell whether it must be.
pub(super) fn apart(
    lineage: &Lineage,
    owned: &Owned,
    newest: Option<&Leaf>,
    memory: &LineageMemory,
    seen: &TargetSeen,
    now: Timestamp,
) -> Option<Standing> {
    if owned.discovered != Some(Foreign::LeftAlone) {
        return None;
    }
    let is_newest =
        |leaf: &Leaf| newest.is_some_and(|newest| newest.fingerprint == leaf.fingerprint);
    let stays = |leaf: &Leaf| {
        !is_newest(leaf)
            && is_foreign(leaf, &memory.succession, seen.ours)
            && now < last_third(leaf)
    };
    match &seen.served {
        Served::Leaf(leaf) if stays(leaf) => Some(Standing::Foreign(format!(
            "it serves a certificate that is not ours, by {} until {}; it is replaced from {} on, or at once if you {}",
            leaf.issuer,
            leaf.not_after,
            last_third(leaf),
            remedy(lineage, owned)
        ))),
        // What once took ours is not somebody else's without a sign.
        Served::Unknown(why) if seen.memory.taken.is_none() => Some(Standing::Unseen {
            why: format!("what it serves is not known ({why}) and may be somebody else's"),
            remedy: remedy(lineage, owned),
        }),
        Served::Leaf(_) | Served::Off | Served::Unknown(_) => None,
    }
}

fn remedy(lineage: &Lineage, owned: &Owned) -> String {
    let domain = &owned.target.domain.written;
    match lineage.origin {
        Origin::Claimed { .. } => {
            format!("name it: `certferry hook --discover --domain '{domain}'`")
        }
        Origin::Issued(_) | Origin::Source(_) | Origin::Given => {
            format!("name `{domain}` in `domains`, or say `replace_foreign = true`")
        }
    }
}
