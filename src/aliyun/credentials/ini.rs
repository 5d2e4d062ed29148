//! The credentials file of the official SDKs (`~/.alibabacloud/credentials`), an ini file: the fourth source.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::role::Oidc;
use super::{Credentials, KEYS_OF_OTHERS, Miss, Setup, Way, instance};
use crate::secret::{self, Redactor};

/// The way of a section: of `named`, else of that of the environment, else of `default`. The text names it.
pub(super) fn way(setup: &Setup, named: Option<&str>) -> Result<(String, Way), Miss> {
    let (path, text) = text(setup)?;
    let path = path.display().to_string();
    let asked = named.or_else(|| setup.env.var("ALIBABA_CLOUD_PROFILE")).unwrap_or("default");
    let Some(keys) = section(&text, asked) else {
        let what = format!("{path} has no section [{asked}]");
        return Err(match named {
            Some(_) => Miss::Absent(what),
            None => Miss::broken(&what, "add it, or name another by ALIBABA_CLOUD_PROFILE"),
        });
    };
    let place = format!("section [{asked}] of {path}");
    if keys.get("enable").is_some_and(|enable| enable.eq_ignore_ascii_case("false")) {
        return Err(Miss::Absent(format!("{place} is not enabled")));
    }
    let reading = Reading { setup, place: &place, keys };
    Ok((place.clone(), reading.way()?))
}

/// A section under reading.
struct Reading<'a> {
    setup: &'a Setup,
    place: &'a str,
    keys: BTreeMap<&'a str, &'a str>,
}

impl Reading<'_> {
    fn way(&self) -> Result<Way, Miss> {
        match self.needed("type")? {
            "access_key" => Ok(Way::Key(self.key(None)?)),
            "sts" => {
                let token = self.one_of(&["security_token", "sts_token"])?;
                Ok(Way::Key(self.key(Some(token))?))
            }
            "ram_role_arn" => {
                let key = Way::Key(self.key(self.keys.get("security_token").copied())?);
                let role = self.needed("role_arn")?;
                let session = self.keys.get("role_session_name").copied();
                let mut role = self.setup.role(role, session, self.setup.sts(None, false)?);
                role.policy = self.keys.get("policy").map(ToString::to_string);
                role.external_id = self.keys.get("external_id").map(ToString::to_string);
                Ok(Way::Role(Box::new(key), role))
            }
            "ecs_ram_role" => {
                let name = self.keys.get("role_name").map(ToString::to_string);
                instance::way(self.setup, name).map_err(Miss::Broken)
            }
            "oidc_role_arn" => {
                let session = self.keys.get("role_session_name").copied();
                let arn = self.needed("role_arn")?;
                let role = self.setup.role(arn, session, self.setup.sts(None, false)?);
                let provider_arn = self.needed("oidc_provider_arn")?.to_owned();
                let token_file = self.one_of(&["oidc_token_file_path", "oidc_token_file"])?;
                Ok(Way::Oidc(Oidc { role, provider_arn, token_file: PathBuf::from(token_file) }))
            }
            other => {
                let what = format!(
                    "{} has the type `{}`, which certferry does not speak",
                    self.place,
                    Redactor::default().clean(other)
                );
                let help = "use access_key, sts, ram_role_arn, ecs_ram_role or oidc_role_arn";
                Err(Miss::broken(&what, help))
            }
        }
    }

    fn key(&self, token: Option<&str>) -> Result<Credentials, Miss> {
        Ok(Credentials {
            id: self.needed("access_key_id")?.to_owned(),
            secret: SecretString::from(self.needed("access_key_secret")?),
            token: token.map(SecretString::from),
            expires: None,
        })
    }

    fn needed(&self, key: &'static str) -> Result<&str, Miss> {
        self.one_of(&[key])
    }

    /// A key that has had two names.
    fn one_of(&self, keys: &[&'static str]) -> Result<&str, Miss> {
        let found = keys.iter().find_map(|key| self.keys.get(key)).copied();
        found.filter(|value| !value.is_empty()).ok_or_else(|| {
            let key = keys.first().copied().unwrap_or_default();
            Miss::broken(&format!("{} has no {key}", self.place), &format!("add `{key} = ...`"))
        })
    }
}

/// The lines `key = value` of a section. A `#` or `;` begins a remark, in a line only behind a space.
pub(super) fn section<'a>(text: &'a str, name: &str) -> Option<BTreeMap<&'a str, &'a str>> {
    let lines = text.lines().map(str::trim);
    let header = |line: &'a str| line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let mut inside = lines.skip_while(|line| header(line).map(str::trim) != Some(name));
    inside.next()?;
    let lines = inside.take_while(|line| header(line).is_none());
    let lines = lines.filter(|line| !line.starts_with(['#', ';']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Some(pairs.map(|(key, value)| (key.trim(), plain(value))).collect())
}

/// A value without the remark behind it, and without quotes around it.
fn plain(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|remark| value.find(remark)).min();
    let value = value.get(..end.unwrap_or(value.len())).unwrap_or_default().trim();
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
    unquoted.unwrap_or(value)
}

/// The file: the one that is named must be there. Official SDKs disagree on the other's name.
fn text(setup: &Setup) -> Result<(PathBuf, Zeroizing<String>), Miss> {
    let named = setup.env.var(FILE).map(PathBuf::from);
    let places = match (&named, setup.home()) {
        (Some(path), _) => vec![path.clone()],
        (None, Some(home)) => FILES.map(|name| home.join(name)).to_vec(),
        (None, None) => return Err(Miss::Absent("HOME is not set".to_owned())),
    };
    for path in &places {
        let text = secret::read_foreign(path, KEYS_OF_OTHERS).map_err(|error| Miss::of(&error))?;
        if let Some(text) = text {
            return Ok((path.clone(), text));
        }
    }
    let first = places.first().map(|path| path.display().to_string()).unwrap_or_default();
    Err(match named {
        None => Miss::Absent(format!("there is no {first}")),
        Some(_) => {
            let what = format!("there is no {first}, which {FILE} names");
            Miss::broken(&what, &format!("correct {FILE}, or take it away"))
        }
    })
}

const FILE: &str = "ALIBABA_CLOUD_CREDENTIALS_FILE";
/// Of the SDK for Go, and of that for Python.
const FILES: [&str; 2] = [".alibabacloud/credentials", ".alibabacloud/credentials.ini"];
