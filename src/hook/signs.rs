//! Which dialect a call is: by what only one client says. Two that contradict are refused, not chosen from.

use super::{Call, Dialect, Error};

/// The clients by the name that may stand first after `--`; of lego the variables tell the version.
const NAMED: [(&str, Dialect); 7] = [
    ("certbot", Dialect::Certbot),
    ("lego", Dialect::Lego5),
    ("acme.sh", Dialect::AcmeSh),
    ("dehydrated", Dialect::Dehydrated),
    ("acmetool", Dialect::Acmetool),
    ("uacme", Dialect::Uacme),
    ("caddy", Dialect::Caddy),
];

/// Variables that only this dialect sets, all of them.
const VARIABLES: [(Dialect, &[&str]); 4] = [
    (Dialect::Certbot, &["RENEWED_LINEAGE"]),
    (Dialect::Lego4, &["LEGO_CERT_PATH"]),
    (Dialect::Lego5, &["LEGO_HOOK_CERT_PATH"]),
    (Dialect::AcmeSh, &["CERT_FULLCHAIN_PATH", "Le_Domain"]),
];

/// What a client sets in hooks that are told of no certificate: whose, and what to do.
const NO_CERTIFICATE: [(&str, &str, &str); 6] = [
    ("FAILED_DOMAINS", "certbot's post-hook", "wire it as certbot's --deploy-hook"),
    ("RENEWED_DOMAINS", "certbot's post-hook", "wire it as certbot's --deploy-hook"),
    ("LEGO_HOOK_CERT_NAME", "lego's pre-hook or post-hook", "wire it as lego's --deploy-hook"),
    ("LEGO_HOOK_ACCOUNT_ID", "lego's pre-hook or post-hook", "wire it as lego's --deploy-hook"),
    ("Le_Domain", "acme.sh's pre-hook", "wire it as acme.sh's --reloadcmd or --renew-hook"),
    (
        "ACME_STATE_DIR",
        "acmetool, without its event",
        "hand its words on: `certferry hook -- \"$@\"`",
    ),
];

/// dehydrated's handlers that tell of a certificate. Any other word may be one of its later handlers.
pub(super) const DEHYDRATED: [&str; 2] = ["deploy_cert", "unchanged_cert"];

/// acmetool's event that tells of certificates.
pub(super) const ACMETOOL: &str = "live-updated";

/// The dialect, and the arguments without the client's name.
pub(super) fn find<'a>(call: &Call<'a>) -> Result<(Dialect, &'a [String]), Error> {
    let mut signs: Vec<(Dialect, String)> = VARIABLES
        .iter()
        .filter(|(_, names)| names.iter().all(|name| (call.var)(name).is_some()))
        .map(|(dialect, names)| (*dialect, format!("{} is set", names.join(" and "))))
        .collect();
    if call.files.is_some() {
        signs.push((Dialect::Files, "--cert and --key are given".to_owned()));
    }
    let (named, args) = named(call.args);
    match (named, args) {
        (Some((name, dialect)), _) => {
            let is_its = |sign: &(Dialect, String)| sign.0.client() == dialect.client();
            let told_apart = signs.iter().find(|sign| is_its(sign)).map_or(dialect, |sign| sign.0);
            signs.push((told_apart, format!("`{name}` stands after `--`")));
        }
        (None, [word, ..]) => signs.extend(by_word(call, word)),
        (None, []) => {}
    }
    let Some((dialect, _)) = signs.first().cloned() else { return Err(no_dialect(call)) };
    match signs.iter().find(|sign| sign.0 != dialect) {
        None => Ok((dialect, args)),
        Some(other) => Err(contradiction(&signs[0], other)),
    }
}

fn named(args: &[String]) -> (Option<(&'static str, Dialect)>, &[String]) {
    let found = args.split_first().and_then(|(first, rest)| {
        let named = NAMED.iter().find(|(name, _)| name == first)?;
        Some((*named, rest))
    });
    found.map_or((None, args), |(named, rest)| (Some(named), rest))
}

/// Whose word it is. dehydrated says what no hook can know, and wants it borne.
fn by_word(call: &Call<'_>, word: &str) -> Vec<(Dialect, String)> {
    // It may be anything: a line end in it would write a line of its own into our message.
    let said = || format!("`{}` stands after `--`", word.escape_debug());
    let is_dehydrateds = DEHYDRATED.contains(&word);
    let state = (call.var)("ACME_STATE_DIR");
    let mut signs = Vec::new();
    if is_dehydrateds || state.is_none() && word != ACMETOOL {
        signs.push((Dialect::Dehydrated, said()));
    }
    if state.is_some() {
        signs.push((Dialect::Acmetool, "ACME_STATE_DIR is set".to_owned()));
    } else if word == ACMETOOL {
        signs.push((Dialect::Acmetool, said()));
    }
    signs
}

fn no_dialect(call: &Call<'_>) -> Error {
    match NO_CERTIFICATE.iter().find(|(name, ..)| (call.var)(name).is_some()) {
        Some((name, whose, help)) => {
            Error::new(format!("{name} is set: {whose} tells of no certificate"), *help)
        }
        None => Error::new(
            "no ACME client has called this hook: RENEWED_LINEAGE is not set, nor are other clients' words there",
            "use it as certbot's --deploy-hook, or as hooks/CLIENT/README.md says; by hand `certferry hook --cert FILE --key FILE`, or `certferry deploy --lineage DIR --domain D` for once",
        ),
    }
}

fn contradiction(one: &(Dialect, String), other: &(Dialect, String)) -> Error {
    Error::new(
        format!("two ACME clients are meant: {} ({}) and {} ({})", one.0, one.1, other.0, other.1),
        "unset what is not meant, or say the client first: `certferry hook -- dehydrated \"$@\"`",
    )
}
