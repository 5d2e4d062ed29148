//! Certificates downloaded (RFC 8555 section 7.4.2) and revoked (section 7.6).

use serde_json::Value;

use super::gate::Signed;
use super::problem::Problem;
use super::state::{State, Status};
use super::{Done, csr, jose};
use crate::wire::Answer;

/// The reasons of RFC 5280 that a subscriber may give: unspecified, keyCompromise, affiliationChanged, superseded,
/// cessationOfOperation.
const REASONS: [u64; 5] = [0, 1, 3, 4, 5];

/// A certificate's own URL, or that of an alternate chain.
pub(crate) fn download(
    state: &State,
    signed: &Signed,
    id: usize,
    chain: usize,
) -> Result<Done, Problem> {
    let certificate = &state.certificates[id];
    signed.owns(certificate.account)?;
    signed.only_get()?;
    let chains = &certificate.issued.chains;
    let pem = chains[chain].clone();
    let mut done = Done::of(Answer::written(200, "application/pem-certificate-chain", pem));
    let url = state.certificate_url(id);
    for other in (0..chains.len()).filter(|other| *other != chain && state.rules.alternates) {
        let alternate = if other == 0 { url.clone() } else { format!("{url}/{other}") };
        done = done.header("link", format!("<{alternate}>;rel=\"alternate\""));
    }
    Ok(done)
}

/// `revokeCert`: by the account, by one that may speak for all names, or by the certificate's key.
pub(crate) fn revoke(state: &mut State, signed: &Signed) -> Result<Done, Problem> {
    let asked = signed.jws.object()?;
    let der = asked.get("certificate").and_then(Value::as_str);
    let der = der.ok_or_else(|| Problem::malformed("no certificate"))?;
    let der = jose::bytes("the certificate", der)?;
    let id = state.certificates.iter().position(|certificate| certificate.issued.der == der);
    let id = id.ok_or_else(|| Problem::not_found("no certificate of this CA"))?;
    let reason = match asked.get("reason") {
        None => 0,
        Some(reason) => reason
            .as_u64()
            .filter(|reason| REASONS.contains(reason))
            .ok_or_else(|| Problem::new("badRevocationReason", format!("the reason {reason}")))?,
    };
    let by_key = signed.account.is_none();
    let may = match signed.account {
        None => csr::bits_of_certificate(&der) == Some(signed.key.bits()),
        Some(account) => may_speak(state, account, id),
    };
    if !may {
        return Err(Problem::unauthorized("the signer may not revoke this certificate"));
    }
    if state.certificates[id].revoked.is_some() {
        return Err(Problem::new("alreadyRevoked", "the certificate was revoked already"));
    }
    state.certificates[id].revoked = Some(reason);
    if by_key || reason == 1 {
        state.blocked.insert(state.certificates[id].bits.clone());
    }
    Ok(Done::of(Answer::written(200, "text/plain", String::new())))
}

fn may_speak(state: &State, account: usize, certificate: usize) -> bool {
    let certificate = &state.certificates[certificate];
    let proven = |name: &String| {
        (0..state.authorizations.len()).any(|id| {
            let one = &state.authorizations[id];
            one.account == account
                && one.written() == *name
                && state.authorization_status(id) == Status::Valid
        })
    };
    certificate.account == account || certificate.names.iter().all(proven)
}
