//! The order of the sources: the first that gives an AccessKey wins, and why each before it did not is kept.

use super::super::Account;
use super::super::error::{Error, Kind};
use super::{Credentials, Miss, Setup, Way, cli_profile, document, ini, instance, role};
use crate::config::Keys;
use crate::secret;
use secrecy::SecretString;

/// Where an AccessKey may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `access_key_id` and `access_key_secret_file`.
    Configured,
    Environment,
    OidcRole,
    CliProfile,
    CredentialsFile,
    Instance,
    Uri,
}

/// A source that was passed over, and why.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) source: Source,
    pub(super) miss: Miss,
}

/// What won: a key, and what is needed to come by the next one.
pub(super) struct Won {
    pub(super) source: Source,
    /// The source by its place, for people.
    pub(super) name: String,
    pub(super) lane: String,
    pub(super) key: Credentials,
}

impl Source {
    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Configured => "configuration",
            Self::Environment => "environment",
            Self::OidcRole => "OIDC role",
            Self::CliProfile => "CLI profile",
            Self::CredentialsFile => "credentials file",
            Self::Instance => "ECS instance role",
            Self::Uri => "credentials URI",
        }
    }

    /// Where its key comes from. Environment and files are read; nobody is asked.
    fn way(self, setup: &Setup) -> Result<(String, Way), Miss> {
        let named = setup.profile.as_deref();
        let way = match self {
            Self::Configured => configured(setup)?,
            Self::Environment => of_environment(setup)?,
            Self::OidcRole => role::of_environment(setup)?,
            Self::CliProfile => return cli_profile::way(setup, named),
            Self::CredentialsFile => return ini::way(setup, named),
            Self::Instance => instance::of_environment(setup)?,
            Self::Uri => uri(setup)?,
        };
        Ok((self.name().to_owned(), way))
    }

    /// Its key as it is now, with the role that is configured on top.
    pub(super) async fn ask(self, account: &Account) -> Result<Won, Miss> {
        let (name, way) = self.way(&account.inner.setup)?;
        let key = match way.go(account).await {
            Err(error) if self == Self::Instance && instance::is_absent(&error) => {
                return Err(Miss::Absent(error.message));
            }
            gone => gone.map_err(Miss::Broken)?,
        };
        Ok(Won { source: self, name, lane: way.lane(), key })
    }
}

/// The sources of an account, in their order (the official one: facts of the SDKs for Go and Python).
pub(super) fn sources(setup: &Setup) -> &'static [Source] {
    match (&setup.keys, &setup.profile) {
        (Some(_), _) => &[Source::Configured],
        (None, Some(_)) => &[Source::CliProfile, Source::CredentialsFile],
        (None, None) => &[
            Source::Environment,
            Source::OidcRole,
            Source::CliProfile,
            Source::CredentialsFile,
            Source::Instance,
            Source::Uri,
        ],
    }
}

/// The first source that gives an AccessKey.
///
/// # Errors
/// None does: each with why. Or one failed only for now: another one's key would make us somebody else.
pub(super) async fn find(account: &Account) -> Result<(Won, Vec<Passed>), Error> {
    let setup = &account.inner.setup;
    let mut passed = Vec::new();
    for source in sources(setup) {
        match source.ask(account).await {
            Ok(won) => return Ok((with_role(account, won).await?, passed)),
            Err(Miss::Broken(error)) if error.retryable() => return Err(error),
            Err(miss) => passed.push(Passed { source: *source, miss }),
        }
    }
    Err(none(setup, &passed))
}

/// The key of the role that is configured on top of another's.
pub(super) async fn with_role(account: &Account, won: Won) -> Result<Won, Error> {
    let role = match account.inner.setup.role_on_top() {
        Ok(Some(role)) => role,
        Ok(None) => return Ok(won),
        Err(Miss::Broken(error)) => return Err(error),
        Err(Miss::Absent(what)) => return Err(document::broken(&what, "see role_arn")),
    };
    let key = role.assume(account, &won.key).await?;
    let name = format!("{} by {}", role.arn, won.name);
    Ok(Won { name, key, lane: role.arn, ..won })
}

/// Nothing gives a key: what each says, and what to do about those that are broken.
fn none(setup: &Setup, passed: &[Passed]) -> Error {
    let name = &setup.account;
    if let [Passed { miss: Miss::Broken(error), .. }] = passed {
        let what = format!("[aliyun.{name}]: {}", error.message);
        return Error { message: what, ..error.clone() };
    }
    let why = passed.iter().map(|one| format!("{}: {}", one.source.name(), one.miss.why()));
    let why = why.collect::<Vec<_>>().join("\n");
    let message = match &setup.profile {
        Some(profile) => format!("there is no profile `{profile}` for [aliyun.{name}]\n{why}"),
        None => format!("there is no AccessKey for [aliyun.{name}]\n{why}"),
    };
    let broken: Vec<&str> = passed.iter().filter_map(|one| one.miss.help()).collect();
    let help = match (broken.is_empty(), &setup.profile) {
        (false, _) => broken.join("; "),
        (true, Some(profile)) => {
            format!(
                "`aliyun configure --profile {profile}` makes one; or name another in [aliyun.{name}]"
            )
        }
        (true, None) => format!(
            "write access_key_id and access_key_secret_file into [aliyun.{name}], or set {ID} and {SECRET} in the environment"
        ),
    };
    Error::new(Kind::Credentials, "NoCredentials", &message, &help)
}

/// The key of the configuration itself.
fn configured(setup: &Setup) -> Result<Way, Miss> {
    let Some(Keys { access_key_id, access_key_secret_file }) = &setup.keys else {
        return Err(Miss::Absent("no AccessKey is configured".to_owned()));
    };
    let secret = secret::read(access_key_secret_file, &setup.env, setup.base.as_deref());
    let secret = secret.map_err(|error| Miss::of(&error))?;
    Ok(Way::Key(Credentials { id: access_key_id.clone(), secret, token: None, expires: None }))
}

/// The variables of the official SDKs.
fn of_environment(setup: &Setup) -> Result<Way, Miss> {
    let half = |set: &str, missing: &str| {
        let what = format!("{set} is set and {missing} is not");
        Err(Miss::broken(&what, &format!("set {missing} too, or take {set} away")))
    };
    match (setup.env.var(ID), setup.env.var(SECRET)) {
        (Some(id), Some(secret)) => Ok(Way::Key(Credentials {
            id: id.to_owned(),
            secret: SecretString::from(secret),
            token: setup.env.var(TOKEN).map(SecretString::from),
            expires: None,
        })),
        (Some(_), None) => half(ID, SECRET),
        (None, Some(_)) => half(SECRET, ID),
        (None, None) => Err(Miss::Absent(format!("{ID} is not set"))),
    }
}

/// The sixth source.
fn uri(setup: &Setup) -> Result<Way, Miss> {
    match setup.env.var(URI) {
        Some(written) => Ok(Way::Uri(document::uri(written, URI)?)),
        None => Err(Miss::Absent(format!("{URI} is not set"))),
    }
}

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";
const URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

#[cfg(test)]
mod tests;
