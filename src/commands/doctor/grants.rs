//! Records of dns-persist-01: does the one that stands at a name let our account prove it?

use super::authority::Authority;
use crate::config::Acme;
use crate::dns::Texts;
use crate::doctor::{Check, State};
use crate::persist::{METHOD, Need, Party};
use crate::run::Run;

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
        Ok(issuer) => Check::good("record", place, format!("lets {issuer} issue for our account")),
        Err(why) => Check::new("record", place, State::Bad, why).or_help(format!("set: {grant}")),
    }
}

fn judged<'a>(
    run: &Run,
    need: &Need,
    shown: &anyhow::Result<Vec<Texts>>,
    party: &'a Party,
) -> Result<&'a str, String> {
    let shown = shown.as_ref().map_err(crate::told::text)?;
    let mut issuer = "";
    for one in shown {
        let judged = party.judge(&one.texts, need, run.ground.clock.now());
        issuer = judged.map_err(|why| format!("{why} ({} says)", one.server))?;
    }
    Ok(issuer)
}
