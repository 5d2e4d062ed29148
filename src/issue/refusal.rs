//! The CA's refusals as failures: whether it counted them, what it said, what to do.

use instant_acme::{Error, Problem};

use super::heard::Heard;
use super::{Failure, Side};
use crate::secret::Redactor;

/// One name of an order, and why the CA did not accept its proof.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub(super) name: String,
    pub(super) problem: Problem,
}

/// The kind of a problem: `rateLimited` (RFC 8555, 6.7); empty where the CA gave none.
pub(super) fn kind(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind)
}

/// The kind of the problem that an error is, if it is one.
pub(super) fn kind_of(error: &Error) -> Option<&str> {
    let Error::Api(problem) = error else { return None };
    Some(kind(problem))
}

/// The call may have had its effect: nobody answered, or not in the CA's name, or it has a fault of its own.
pub(super) fn may_have_effect(error: &Error) -> bool {
    kind_of(error).is_none_or(|kind| kind == "serverInternal")
}

/// An error for the log: what a CA writes may be anything.
pub(super) fn logged(error: &Error) -> String {
    Redactor::default().clean(&error.to_string())
}

/// A call that failed. `doing` fits after "the CA refused ".
pub(super) fn failure(doing: &str, error: Error, heard: Heard) -> Failure {
    let not_before = heard.retry_at.filter(|_| heard.status >= 400);
    let Error::Api(problem) = error else {
        return Failure { not_before, ..Failure::of_ca(silent(doing, &error)) };
    };
    let help = paused(&problem).or_else(|| to_agree(&problem, &heard));
    let error = anyhow::anyhow!(
        "the CA refused {doing}: {}\nhelp: {}",
        said(&problem),
        help.unwrap_or_else(|| call_help(kind(&problem)).to_owned())
    );
    let (counted, side) = (is_counted(&problem, heard.status), side(kind(&problem)));
    Failure { counted, not_before, side, ..Failure::free(error) }
}

/// A refusal of the account is a matter of the configuration: but for its limits, no ladder follows.
pub(super) fn of_account(doing: &str, error: Error, heard: Heard) -> Failure {
    let is_limit = kind_of(&error) == Some("rateLimited");
    let failure = failure(doing, error, heard);
    Failure { counted: failure.counted && is_limit, ..failure }
}

/// The line's own errors say what to do; those of the crate do not.
fn silent(doing: &str, error: &Error) -> anyhow::Error {
    let text = format!("the CA did not answer {doing}: {error}");
    if text.contains("\nhelp: ") {
        return anyhow::anyhow!(text);
    }
    // The crate's own quote the answer, which may be as long as it likes.
    let text = Redactor::default().clean(&text);
    anyhow::anyhow!(
        "{text}\nhelp: nothing: the next run carries on; if it stays so, check the network"
    )
}

/// An order that the CA made invalid. It counted that.
pub(super) fn of_order(reasons: &[Reason], problem: Option<&Problem>) -> Failure {
    let mut texts: Vec<_> = reasons
        .iter()
        .map(|reason| format!("{}: {}", reason.name, said(&reason.problem)))
        .collect();
    if texts.is_empty() {
        texts.push(problem.map_or_else(|| "it gives no reason".to_owned(), said));
    }
    let first = reasons.first().map(|reason| &reason.problem).or(problem);
    let help = help(first.map_or("", kind));
    let error =
        anyhow::anyhow!("the CA did not accept the proof: {}\nhelp: {help}", texts.join("; "));
    Failure { counted: true, ..Failure::of_ca(error) }
}

/// What the CA says, with its subproblems, without what terminals would take for orders.
fn said(problem: &Problem) -> String {
    let mut parts = vec![problem.detail.clone().unwrap_or_else(|| "no reason given".to_owned())];
    for part in &problem.subproblems {
        let name = part.identifier.as_ref().map(|name| name.authorized(false).to_string());
        let detail = part.detail.as_deref().unwrap_or_default();
        parts.push(format!("{}: {detail}", name.unwrap_or_default()));
    }
    let text = Redactor::default().clean(&parts.join("; "));
    match kind(problem) {
        "" => text,
        kind => format!("{text} ({})", Redactor::default().clean(kind)),
    }
}

/// The CA's own faults are not ours, whatever it calls them: what stands before a CA knows no words of ACME.
fn is_counted(problem: &Problem, status: u16) -> bool {
    match kind(problem) {
        "rateLimited" => true,
        "serverInternal" | "badNonce" => false,
        _ => !is_own_fault(status),
    }
}

/// Does the status say that the request was well, and the CA was not (RFC 9110, 15.6)?
pub(super) fn is_own_fault(status: u16) -> bool {
    status >= 500
}

/// Terms that have changed must be agreed to on a page (RFC 8555, 7.3.3).
fn to_agree(problem: &Problem, heard: &Heard) -> Option<String> {
    let link = heard.visit.as_deref().filter(|_| kind(problem) == "userActionRequired")?;
    Some(format!("open {link}, agree there, and try again by hand"))
}

/// What the configuration says wrongly must be put right, not hidden by another CA.
fn side(kind: &str) -> Side {
    match kind {
        "invalidProfile" | "externalAccountRequired" | "invalidContact" | "unsupportedContact" => {
            Side::Ours
        }
        _ => Side::Ca,
    }
}

/// A CA that has paused a name after many failures gives the link by which its owner ends that (Boulder's
/// self-service). It is longer than what is shown of a text, and of no use when it is cut.
fn paused(problem: &Problem) -> Option<String> {
    let detail = problem.detail.as_deref().filter(|_| kind(problem) == "rateLimited")?;
    let link = detail.split_whitespace().find(|word| word.contains("unpause") && is_link(word))?;
    Some(format!(
        "the CA has paused these names after too many failures: see why they fail, then open {link} and try again by hand"
    ))
}

/// A link that can be shown as it is.
pub(super) fn is_link(text: &str) -> bool {
    text.starts_with("https://")
        && text.len() <= LONGEST_LINK
        && text.bytes().all(|letter| letter.is_ascii_graphic())
}

/// The same word about an account or an order means something else than about a proof.
fn call_help(kind: &str) -> &'static str {
    row(CALL, kind).unwrap_or_else(|| help(kind))
}

fn help(kind: &str) -> &'static str {
    row(HELP, kind).unwrap_or(UNKNOWN)
}

fn row(table: &[(&str, &'static str)], kind: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == kind).map(|(_, help)| *help)
}

/// What to do about a call that was refused, where it is not what [`HELP`] says.
const CALL: &[(&str, &str)] = &[
    (
        "unauthorized",
        "the CA does not let this account do that: the CA's `eab` in the configuration may be wrong; an account that was \
         ended elsewhere does nothing more: move its account.json away (see `certferry account show`), and the next run \
         registers a new one",
    ),
    (
        "malformed",
        "look at `domains`: the CA cannot read what was asked for; if it speaks of a signature (JWS), another host has \
         given the account a new key: copy its account.json from there",
    ),
];

/// What to do about a kind of problem (RFC 8555, 6.7; `invalidProfile` is draft-ietf-acme-profiles').
const HELP: &[(&str, &str)] = &[
    (
        "rateLimited",
        "nothing: it is tried again by itself when the CA allows; for Let's Encrypt see https://letsencrypt.org/docs/rate-limits",
    ),
    (
        "unauthorized",
        "look at the TXT records by which that name is proved (_acme-challenge, _validation-persist): another program or a CNAME may stand in the way",
    ),
    (
        "incorrectResponse",
        "look at the TXT records by which that name is proved (_acme-challenge, _validation-persist): an old value may stand there",
    ),
    (
        "dns",
        "look at the zone's delegation, its name servers and DNSSEC (https://dnsviz.net); all must answer from everywhere",
    ),
    ("caa", "add a CAA record that allows this CA, and `issuewild` for wildcard names"),
    ("rejectedIdentifier", "the CA will not issue for this name: take it out of `domains`"),
    ("badCSR", KEY_TYPE),
    ("badPublicKey", KEY_TYPE),
    ("malformed", "look at `domains`: the CA cannot read what was asked for"),
    ("invalidProfile", "correct `profile`"),
    ("externalAccountRequired", "set the CA's `eab` as it was given to you"),
    ("invalidContact", CONTACT),
    ("unsupportedContact", CONTACT),
    ("userActionRequired", "open the link that the CA gives, agree, and try again"),
    ("serverInternal", "nothing: the CA's own fault, tried again at the next run"),
];
const KEY_TYPE: &str = "choose another `key_type`; a new key is made at the next try";
const CONTACT: &str = "correct the CA's `contact`";
const UNKNOWN: &str = "the CA's documentation and status page may say more";

/// Boulder's holds up to 255 bytes of names in a signed token; ten times as much is no link.
const LONGEST_LINK: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use jiff::Timestamp;

    use super::*;
    use crate::testing::check_table;

    const LATER: Option<Timestamp> = Some(Timestamp::UNIX_EPOCH);

    fn problem(kind: &str) -> Problem {
        let json = format!(
            r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"because\u001b[2J","subproblems":[
               {{"type":"x","detail":"not this one","identifier":{{"type":"dns","value":"a.test"}}}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn check(
        row: &str,
        error: Error,
        status: u16,
        wanted: (bool, Option<Timestamp>),
        parts: &[&str],
    ) {
        let got =
            failure("the order", error, Heard { status, retry_at: LATER, ..Heard::default() });
        assert_eq!((got.counted, got.not_before), wanted, "{row}");
        let text = format!("{:#}", got.error);
        assert!(parts.iter().all(|part| text.contains(part)), "{row}: {text}");
        assert!(!text.contains('\u{1b}'), "{row}: {text}");
    }

    #[test]
    fn refusals_are_counted_and_silence_is_not() {
        let api = |kind: &str| Error::Api(problem(kind));
        check(
            "a limit",
            api("rateLimited"),
            429,
            (true, LATER),
            &["because", "(rateLimited)", "help: nothing"],
        );
        check("a name", api("rejectedIdentifier"), 400, (true, LATER), &["a.test: not this one"]);
        check("an account", api("unauthorized"), 403, (true, LATER), &["the CA's `eab`"]);
        check("unknown", api("somethingNew"), 403, (true, LATER), &["(somethingNew)", "help: "]);
        check("its own fault", api("serverInternal"), 500, (false, LATER), &["help: nothing"]);
        check("what stands before it", api("unknown"), 503, (false, LATER), &["(unknown)"]);
        check("its load", api("rateLimited"), 503, (true, LATER), &["(rateLimited)"]);
        check(
            "no answer",
            Error::Str("no nonce"),
            503,
            (false, LATER),
            &["did not answer the order"],
        );
        check(
            "cut off after a good answer",
            Error::Str("x"),
            200,
            (false, None),
            &["did not answer"],
        );
    }

    #[test]
    fn terms_that_changed_have_their_link() {
        let check = |row: &str, kind: &str, visit: Option<&str>, part: &str| {
            let visit = visit.map(str::to_owned);
            let heard = Heard { status: 403, visit, ..Heard::default() };
            let text = failure("the order", Error::Api(problem(kind)), heard).error.to_string();
            assert!(text.contains(part), "{row}: {text}");
        };
        let link = Some("https://ca.test/agree?token=x");
        let told = "help: open https://ca.test/agree?token=x, agree";
        check("a link", "userActionRequired", link, told);
        check("no link", "userActionRequired", None, "help: open the link that the CA gives");
        check("of something else", "malformed", link, "help: look at `domains`");
    }

    #[test]
    fn whose_a_refusal_is() {
        let check = |kind: &str, wanted: Side| {
            let heard = Heard { status: 400, ..Heard::default() };
            assert_eq!(failure("it", Error::Api(problem(kind)), heard).side, wanted, "{kind}");
        };
        check("rateLimited", Side::Ca);
        check("rejectedIdentifier", Side::Ca);
        check("unauthorized", Side::Ca);
        check("serverInternal", Side::Ca);
        check("userActionRequired", Side::Ca);
        check("invalidProfile", Side::Ours);
        check("externalAccountRequired", Side::Ours);
        check("invalidContact", Side::Ours);
        let silent = failure("it", Error::Str("no nonce"), Heard::default());
        assert_eq!(silent.side, Side::Ca, "no answer");
        assert_eq!(of_order(&[], None).side, Side::Ca, "an invalid order");
    }

    #[test]
    fn tables_of_the_ca() {
        let is_of_calls = |kind: &str| CALL.iter().any(|(known, _)| *known == kind);
        let proofs = HELP.iter().map(|(kind, help)| match is_of_calls(kind) {
            true => [format!("`{kind}`, of a proof"), (*help).to_owned()],
            false => [format!("`{kind}`"), (*help).to_owned()],
        });
        let calls = CALL.iter().map(|(kind, help)| {
            [format!("`{kind}`, of an account or an order"), (*help).to_owned()]
        });
        let rows: Vec<_> = proofs.chain(calls).collect();
        check_table("ca", &rows);
    }

    #[test]
    fn an_invalid_order_names_each_name() {
        let reason = |name: &str, kind| Reason { name: name.to_owned(), problem: problem(kind) };
        let failure = of_order(&[reason("a.test", "caa"), reason("*.b.test", "dns")], None);
        let text = failure.error.to_string();
        assert!(failure.counted);
        for part in ["a.test: because", "*.b.test: because", "(dns)", "help: add a CAA record"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = of_order(&[], Some(&problem("badCSR"))).error.to_string();
        assert!(text.contains("(badCSR)") && text.contains("key_type"), "{text}");
        assert!(of_order(&[], None).error.to_string().contains("it gives no reason"));
    }
}
