//! Whose AccessKey an `[aliyun.NAME]` uses: a profile, a role on top of it, and the metadata service.

use super::Role;
use super::said::Section;
use super::sections::endpoint;

/// A profile by its name: in place of an AccessKey, not beside one.
pub(super) fn profile(section: &Section<'_>) -> Option<String> {
    let value = section.value("profile")?;
    if section.has("access_key_id") {
        value.wrong("stands beside an AccessKey", "take one of the two out");
    }
    value.text().map(str::to_owned)
}

/// The role that is assumed.
pub(super) fn role(section: &Section<'_>) -> Option<Role> {
    let Some(arn) = section.value("role_arn") else {
        for key in ["role_session_name", "external_id"] {
            if let Some(value) = section.value(key) {
                value.missing(
                    "is of no use without `role_arn`",
                    format!("write `role_arn = \"{EXAMPLE}\"`, or take it out"),
                );
            }
        }
        return None;
    };
    let session_name = section.value("role_session_name");
    if let Some(value) = &session_name
        && !value.text().is_none_or(is_session_name)
    {
        let help = "write 2 to 64 letters, digits and `.@-_`";
        value.wrong("is no name of a session", help);
    }
    let session_name = session_name.and_then(|value| value.text()).map(str::to_owned);
    let external_id = section.owned("external_id");
    let written = arn.text()?;
    if !is_role_arn(written) {
        arn.wrong(
            format!("is no ARN of a RAM role: `{written}`"),
            format!("write it as `{EXAMPLE}`"),
        );
    }
    Some(Role { arn: written.to_owned(), session_name, external_id })
}

/// https, or http for a loopback address and for the service's own.
pub(super) fn metadata_endpoint(section: &Section<'_>) -> Option<String> {
    let key = "metadata_endpoint";
    let written = section.value(key)?.text()?.trim_end_matches('/');
    if written == OWN { Some(OWN.to_owned()) } else { endpoint(section, key) }
}

/// `acs:ram::UID:role/NAME`, as the RAM console shows it.
fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["acs", "ram", "", account, role] = parts.as_slice() else { return false };
    let is_number = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    is_number && role.strip_prefix("role/").is_some_and(|name| !name.is_empty())
}

/// The API document of AssumeRole, RoleSessionName.
fn is_session_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".@-_".contains(&byte);
    (2..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// The address of every instance's metadata service.
const OWN: &str = "http://100.100.100.200";
const EXAMPLE: &str = "acs:ram::123456789012:role/certferry";
