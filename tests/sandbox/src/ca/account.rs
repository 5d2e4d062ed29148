//! Accounts (RFC 8555 section 7.3): made, bound, changed, rolled over, ended.

use serde_json::{Map, Value, json};

use super::Done;
use super::gate::Signed;
use super::jose::{Jwk, Jws};
use super::problem::Problem;
use super::state::{AccountState, State};

/// `newAccount`.
pub(crate) fn create(state: &mut State, signed: &Signed) -> Result<Done, Problem> {
    let asked = signed.jws.object()?;
    if let Some(id) = state.account_of(&signed.key) {
        if !state.accounts[id].active {
            return Err(Problem::unauthorized("the account is deactivated").status(401));
        }
        return Ok(shown(state, id, 200));
    }
    if asked.get("onlyReturnExisting") == Some(&json!(true)) {
        return Err(Problem::new("accountDoesNotExist", "there is no account of this key"));
    }
    let agreed = asked.get("termsOfServiceAgreed") == Some(&json!(true));
    if state.rules.terms && !agreed {
        let terms = state.url("/terms");
        return Err(Problem::new("userActionRequired", format!("agree to the terms: {terms}"))
            .header("link", format!("<{terms}>;rel=\"terms-of-service\"")));
    }
    let contact = contact(&asked)?.unwrap_or_default();
    let eab = binding(state, signed, asked.get("externalAccountBinding"))?;
    if state.certificates.iter().any(|certificate| certificate.bits == signed.key.bits()) {
        return Err(Problem::new("badPublicKey", "the key is that of a certificate"));
    }
    let key = signed.key.clone();
    state.accounts.push(AccountState { key, contact, active: true, eab, agreed });
    Ok(shown(state, state.accounts.len() - 1, 201))
}

/// An account's own URL.
pub(crate) fn change(state: &mut State, signed: &Signed, id: usize) -> Result<Done, Problem> {
    signed.owns(id)?;
    if signed.is_get() {
        return Ok(shown(state, id, 200));
    }
    let asked = signed.jws.object()?;
    match asked.get("status").map(|status| status.as_str().unwrap_or_default()) {
        None | Some("valid") => {}
        Some("deactivated") => state.accounts[id].active = false,
        Some(other) => return Err(Problem::malformed(format!("the status {other:?}"))),
    }
    if let Some(contact) = contact(&asked)? {
        state.accounts[id].contact = contact;
    }
    Ok(shown(state, id, 200))
}

/// The list of an account's orders.
pub(crate) fn orders(state: &State, signed: &Signed, id: usize) -> Result<Done, Problem> {
    signed.owns(id)?;
    signed.only_get()?;
    let orders = state.orders.iter().enumerate().filter(|(_, order)| order.account == id);
    let urls: Vec<String> = orders.map(|(order, _)| state.order_url(order)).collect();
    Ok(Done::json(200, &json!({ "orders": urls })))
}

/// `keyChange` (RFC 8555 section 7.3.5).
pub(crate) fn roll_over(state: &mut State, signed: &Signed) -> Result<Done, Problem> {
    let id = signed.account()?;
    let inner = Jws::parse(&signed.jws.payload)?;
    inner.known_algorithm()?;
    if inner.protected.contains_key("nonce") || inner.protected.contains_key("kid") {
        return Err(Problem::malformed("the inner JWS has neither nonce nor kid"));
    }
    if inner.text("url") != Some(&signed.url) {
        return Err(Problem::malformed("the inner JWS is for another URL"));
    }
    let jwk = inner.protected.get("jwk").ok_or_else(|| Problem::malformed("no inner jwk"))?;
    let key = Jwk::read(jwk)?;
    inner.verify(&key)?;
    let asked = inner.object()?;
    if asked.get("account").and_then(Value::as_str) != Some(&state.account_url(id)) {
        return Err(Problem::malformed("the inner JWS names another account"));
    }
    let old = asked.get("oldKey").map(Jwk::read).transpose()?;
    if old.as_ref() != Some(&signed.key) {
        return Err(Problem::malformed("oldKey is not the account's key"));
    }
    if let Some(other) = state.account_of(&key) {
        return Err(Problem::new("conflict", "another account has this key")
            .header("location", state.account_url(other)));
    }
    state.accounts[id].key = key;
    Ok(shown(state, id, 200))
}

fn shown(state: &State, id: usize, status: u16) -> Done {
    let (account, url) = (&state.accounts[id], state.account_url(id));
    let document = json!({
        "status": if account.active { "valid" } else { "deactivated" },
        "contact": account.contact,
        "termsOfServiceAgreed": account.agreed,
        "orders": format!("{url}/orders"),
    });
    Done::json(status, &document).header("location", url)
}

/// The mail addresses; `None` when the request does not speak of them.
fn contact(asked: &Map<String, Value>) -> Result<Option<Vec<String>>, Problem> {
    let Some(contact) = asked.get("contact") else { return Ok(None) };
    let urls = contact.as_array().ok_or_else(|| Problem::malformed("contact is a list"))?;
    urls.iter().map(address).collect::<Result<_, _>>().map(Some)
}

fn address(url: &Value) -> Result<String, Problem> {
    let url = url.as_str().ok_or_else(|| Problem::malformed("a contact is a text"))?;
    let Some(address) = url.strip_prefix("mailto:") else {
        return Err(Problem::new("unsupportedContact", format!("{url:?} is no mailto: URL")));
    };
    let parts: Vec<&str> = address.split('@').collect();
    let plain = address.is_ascii() && !address.contains([',', '?', ' ', '%']);
    if plain && parts.len() == 2 && !parts[0].is_empty() && parts[1].contains('.') {
        return Ok(url.to_owned());
    }
    Err(Problem::new("invalidContact", format!("{url:?} is not one address")))
}

/// RFC 8555 section 7.3.4.
fn binding(
    state: &State,
    signed: &Signed,
    document: Option<&Value>,
) -> Result<Option<String>, Problem> {
    let Some(document) = document else {
        if state.rules.eab_required {
            let detail = "an account here is bound to an external one";
            return Err(Problem::new("externalAccountRequired", detail));
        }
        return Ok(None);
    };
    let jws = Jws::read(document)?;
    if jws.text("alg") != Some("HS256") || jws.protected.contains_key("nonce") {
        return Err(Problem::malformed("a binding is signed by HS256 and has no nonce"));
    }
    if jws.text("url") != Some(&signed.url) {
        return Err(Problem::malformed("the binding is for another URL"));
    }
    let bound = serde_json::from_slice(&jws.payload).unwrap_or_default();
    if Jwk::read(&bound)? != signed.key {
        return Err(Problem::malformed("the binding is of another key"));
    }
    let kid = jws.text("kid").unwrap_or_default();
    let key = state.rules.eab_keys.get(kid);
    let key = key.ok_or_else(|| Problem::unauthorized(format!("no external account {kid:?}")))?;
    jws.verify_hmac(key)?;
    Ok(Some(kid.to_owned()))
}
