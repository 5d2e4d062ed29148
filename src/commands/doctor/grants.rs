//! Records of dns-persist-01: does the one that stands at a name let our account prove it?

use jiff::SignedDuration;

use super::authority::Authority;
use crate::config::Acme;
use crate::dns::Texts;
use crate::doctor::{Check, State};
use crate::persist::{Grant, Granted, METHOD, Need, Party};
use crate::report::minute;
use crate::run::Run;
use crate::secret::Redactor;
use crate::told;

/// What the servers show, judged for one CA. All that answer must show it.
pub(super) fn check(
    run: &Run,
    need: &Need,
    shown: &anyhow::Result<Vec<Texts>>,
    (acme, authority): (&Acme, &Authority),
) -> Check {
    let place = need.place();
    let Some(party) = &authority.party else {
        let text = format!("which record {} wants is not known yet", acme.section());
        return Check::new("record", place, State::Unknown, text)
            .or_help("`certferry renew` registers the account, and says what to set");
    };
    let Some(grant) = party.grant(need) else {
        let text = format!("{} does not tell its name in such records", acme.section());
        return Check::new("record", place, State::Bad, text)
            .or_help(format!("take `challenge` out: this CA seems not to know {METHOD}"));
    };
    match judged(run, need, shown, party) {
        Ok(granted) => tell(run, place, &grant, granted),
        Err(why) => Check::new("record", place, State::Bad, why).or_help(format!("set: {grant}")),
    }
}

fn judged<'a>(
    run: &Run,
    need: &Need,
    shown: &anyhow::Result<Vec<Texts>>,
    party: &'a Party,
) -> Result<Granted<'a>, String> {
    let shown = shown.as_ref().map_err(told::text)?;
    let mut granted = Err("is shown by no server".to_owned());
    for one in shown {
        let judged = party.judge(&one.texts, need, run.ground.clock.now());
        let why = |why: String| Redactor::default().clean(&format!("{why} ({} says)", one.server));
        granted = Ok(judged.map_err(why)?);
    }
    granted
}

fn tell(run: &Run, place: String, grant: &Grant, granted: Granted<'_>) -> Check {
    let text = format!("lets {} issue for our account", granted.issuer);
    let Some(until) = granted.until else { return Check::good("record", place, text) };
    let text = format!("{text} until {}", minute(until));
    match until.duration_since(run.ground.clock.now()) {
        left if left < SOON => {
            let help = format!("set it anew, with a later `persistUntil` or none: {grant}");
            Check::new("record", place, State::Warning, text).or_help(help)
        }
        _ => Check::good("record", place, text),
    }
}

/// The last third of a certificate of 90 days: by then each is renewed once more.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
