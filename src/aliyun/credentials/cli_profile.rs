//! The configuration of the Aliyun CLI (`~/.aliyun/config.json`): the third source, and the modes of its profiles.

use std::borrow::Cow;
use std::path::PathBuf;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::role::{Oidc, Role};
use super::{Credentials, KEYS_OF_OTHERS, Miss, Setup, Way, document, instance, program};
use crate::secret::{self, Redactor};

/// The way of a profile: of `named`, else of that of the environment, else of the file's own `current`. The text names
/// it.
pub(super) fn way(setup: &Setup, named: Option<&str>) -> Result<(String, Way), Miss> {
    if setup.is_true(DISABLED) {
        return Err(Miss::Absent(format!("switched off by {DISABLED}")));
    }
    let (path, text) = text(setup)?;
    let path = path.display().to_string();
    // serde's own words would show parts of the file.
    let file: File<'_> = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what =
            format!("{path} is no configuration of the Aliyun CLI (line {line}, column {column})");
        Miss::broken(&what, "`aliyun configure list` reads the same file")
    })?;
    let asked = named.or_else(|| setup.env.var("ALIBABA_CLOUD_PROFILE")).unwrap_or(&file.current);
    let Some(profile) = file.find(asked) else {
        let what = format!("{path} has no profile `{asked}`");
        let known: Vec<&str> = file.profiles.iter().map(|profile| profile.name.as_ref()).collect();
        return Err(match named {
            Some(_) => Miss::Absent(what),
            None => Miss::broken(&what, &format!("its profiles are: {}", known.join(", "))),
        });
    };
    let reading = Reading { setup, file: &file, path: &path };
    let way = reading.way(profile, &mut Vec::new())?;
    Ok((format!("profile `{asked}` of {path} ({})", profile.mode), way))
}

/// The file as far as we ask for it.
#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    current: Cow<'a, str>,
    #[serde(borrow, default)]
    profiles: Vec<Profile<'a>>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Profile<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(borrow)]
    access_key_id: Cow<'a, str>,
    #[serde(borrow)]
    access_key_secret: Cow<'a, str>,
    #[serde(borrow)]
    sts_token: Cow<'a, str>,
    /// Seconds since 1970; 0: not known.
    sts_expiration: i64,
    #[serde(borrow)]
    sts_region: Cow<'a, str>,
    enable_vpc: bool,
    #[serde(borrow)]
    ram_role_arn: Cow<'a, str>,
    #[serde(borrow)]
    ram_session_name: Cow<'a, str>,
    expired_seconds: u32,
    #[serde(borrow)]
    policy: Cow<'a, str>,
    #[serde(borrow)]
    external_id: Cow<'a, str>,
    #[serde(borrow)]
    source_profile: Cow<'a, str>,
    #[serde(borrow)]
    ram_role_name: Cow<'a, str>,
    #[serde(borrow)]
    oidc_token_file: Cow<'a, str>,
    #[serde(borrow)]
    oidc_provider_arn: Cow<'a, str>,
    #[serde(borrow)]
    process_command: Cow<'a, str>,
    #[serde(borrow)]
    credentials_uri: Cow<'a, str>,
}

impl File<'_> {
    fn find(&self, name: &str) -> Option<&Profile<'_>> {
        self.profiles.iter().find(|profile| profile.name == name)
    }
}

/// A file under reading.
struct Reading<'a> {
    setup: &'a Setup,
    file: &'a File<'a>,
    path: &'a str,
}

impl<'a> Reading<'a> {
    /// `before` are the profiles that led here.
    fn way(&self, profile: &'a Profile<'a>, before: &mut Vec<&'a str>) -> Result<Way, Miss> {
        before.push(&profile.name);
        let mode = profile.mode.to_ascii_lowercase();
        match mode.as_str() {
            "ak" => Ok(Way::Key(self.key(profile, None)?)),
            "ststoken" => {
                let token = self.needed(profile, "sts_token", &profile.sts_token)?;
                Ok(Way::Key(self.key(profile, Some(token))?))
            }
            "ramrolearn" => {
                let token = Some(profile.sts_token.as_ref()).filter(|token| !token.is_empty());
                let key = Way::Key(self.key(profile, token)?);
                Ok(Way::Role(Box::new(key), self.role(profile)?))
            }
            "chainableramrolearn" => {
                let source = Box::new(self.source(profile, before)?);
                Ok(Way::Role(source, self.role(profile)?))
            }
            "ecsramrole" => {
                let name = Some(profile.ram_role_name.as_ref()).filter(|name| !name.is_empty());
                instance::way(self.setup, name.map(str::to_owned)).map_err(Miss::Broken)
            }
            "oidc" => self.oidc(profile),
            "credentialsuri" => {
                let written = self.needed(profile, "credentials_uri", &profile.credentials_uri)?;
                Ok(Way::Uri(document::uri(written, &self.field(profile, "credentials_uri"))?))
            }
            "external" => {
                let said_by = format!("profile `{}` in {}", profile.name, self.path);
                let command = self.needed(profile, "process_command", &profile.process_command)?;
                Ok(Way::Program(program::words(command, &said_by)?))
            }
            _ => Err(self.unsupported(profile)),
        }
    }

    /// Where the roles of a chain begin; a chain that comes back to itself has no beginning.
    fn source(&self, profile: &'a Profile<'a>, before: &mut Vec<&'a str>) -> Result<Way, Miss> {
        let name = self.needed(profile, "source_profile", &profile.source_profile)?;
        if before.contains(&name) {
            let what = format!(
                "the profiles of {} lead in a circle: {} -> {name}",
                self.path,
                before.join(" -> ")
            );
            return Err(Miss::broken(
                &what,
                "let source_profile of one of them name a profile with a key",
            ));
        }
        let Some(source) = self.file.find(name) else {
            let what = format!(
                "{} names `{name}`, which is not there",
                self.field(profile, "source_profile")
            );
            return Err(Miss::broken(&what, "name a profile of the same file"));
        };
        self.way(source, before)
    }

    fn key(&self, profile: &Profile<'_>, token: Option<&str>) -> Result<Credentials, Miss> {
        let id = self.needed(profile, "access_key_id", &profile.access_key_id)?;
        let secret = self.needed(profile, "access_key_secret", &profile.access_key_secret)?;
        let known = token.is_some() && profile.sts_expiration > 0;
        let expires = known.then(|| Timestamp::from_second(profile.sts_expiration).ok()).flatten();
        Ok(Credentials {
            id: id.to_owned(),
            secret: SecretString::from(secret),
            token: token.map(SecretString::from),
            expires,
        })
    }

    fn role(&self, profile: &Profile<'_>) -> Result<Role, Miss> {
        let arn = self.needed(profile, "ram_role_arn", &profile.ram_role_arn)?;
        let said = |text: &Cow<'_, str>| Some(text.to_string()).filter(|text| !text.is_empty());
        let sts = self.setup.sts(said(&profile.sts_region).as_deref(), profile.enable_vpc)?;
        Ok(Role {
            external_id: said(&profile.external_id),
            policy: said(&profile.policy),
            seconds: Some(profile.expired_seconds).filter(|seconds| *seconds > 0),
            ..self.setup.role(arn, said(&profile.ram_session_name).as_deref(), sts)
        })
    }

    fn oidc(&self, profile: &Profile<'_>) -> Result<Way, Miss> {
        let provider = self.needed(profile, "oidc_provider_arn", &profile.oidc_provider_arn)?;
        let token_file = self.needed(profile, "oidc_token_file", &profile.oidc_token_file)?;
        Ok(Way::Oidc(Oidc {
            role: self.role(profile)?,
            provider_arn: provider.to_owned(),
            token_file: PathBuf::from(token_file),
        }))
    }

    fn needed<'b>(
        &self,
        profile: &Profile<'_>,
        key: &str,
        value: &'b str,
    ) -> Result<&'b str, Miss> {
        if !value.is_empty() {
            return Ok(value);
        }
        let what = format!("{} is missing (mode {})", self.field(profile, key), profile.mode);
        Err(Miss::broken(
            &what,
            &format!("`aliyun configure --profile {}` asks for it", profile.name),
        ))
    }

    fn field(&self, profile: &Profile<'_>, key: &str) -> String {
        format!("{key} of profile `{}` in {}", profile.name, self.path)
    }

    fn unsupported(&self, profile: &Profile<'_>) -> Miss {
        let mode = Redactor::default().clean(&profile.mode);
        let what = format!(
            "profile `{}` in {} has the mode `{mode}`, which certferry does not speak",
            profile.name, self.path
        );
        let help = "use a profile of the mode AK, StsToken, RamRoleArn, ChainableRamRoleArn, EcsRamRole, OIDC, CredentialsURI or External (a command that prints a key, also one for people to log in)";
        Miss::broken(&what, help)
    }
}

/// The file: the one that is named must be there.
fn text(setup: &Setup) -> Result<(PathBuf, Zeroizing<String>), Miss> {
    let named = setup.env.var(FILE).map(PathBuf::from);
    let usual = || setup.home().map(|home| home.join(".aliyun/config.json"));
    let Some(path) = named.clone().or_else(usual) else {
        return Err(Miss::Absent("HOME is not set".to_owned()));
    };
    let text = secret::read_foreign(&path, KEYS_OF_OTHERS).map_err(|error| Miss::of(&error))?;
    match (text, named) {
        (Some(text), _) => Ok((path, text)),
        (None, None) => Err(Miss::Absent(format!("there is no {}", path.display()))),
        (None, Some(_)) => {
            let what = format!("there is no {}, which {FILE} names", path.display());
            Err(Miss::broken(&what, &format!("correct {FILE}, or take it away")))
        }
    }
}

const DISABLED: &str = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";
const FILE: &str = "ALIBABA_CLOUD_CONFIG_FILE";
