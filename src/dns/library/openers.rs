//! How each service of the library is opened by its settings. Their order in the table of kinds is the order here.

use std::time::Duration;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dns_update::providers::azuredns::{AzureDnsConfig, AzureEnvironment};
use dns_update::providers::bluecatv2::BluecatV2Config;
use dns_update::providers::edgedns::EdgeDnsConfig;
use dns_update::providers::google_cloud_dns::GoogleCloudDnsConfig;
use dns_update::providers::infoblox::InfobloxConfig;
use dns_update::providers::joker::JokerAuth;
use dns_update::providers::lightsail::LightsailConfig;
use dns_update::providers::oraclecloud::OracleCloudConfig;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::route53::Route53Config;
use dns_update::providers::volcengine::VolcengineConfig;
use dns_update::providers::yandexcloud::YandexCloudConfig;
use dns_update::{DnsUpdater as U, Result as Made};
use zeroize::Zeroizing;

use super::{REQUEST, Said};

/// A service that has one setting.
type One = fn(String, Option<Duration>) -> Made<U>;
/// A service that has two.
type Two = fn(String, String, Option<Duration>) -> Made<U>;
/// A service that has more.
type Many = fn(&Said<'_>) -> anyhow::Result<U>;

const ONE: [(&str, One); 23] = [
    ("arvancloud", |key, time| U::new_arvancloud(key, time)),
    ("bunny", |key, time| U::new_bunny(key, time)),
    ("cloudflare", |token, time| U::new_cloudflare(token, time)),
    ("desec", |token, time| U::new_desec(token, time)),
    ("digitalocean", |token, time| U::new_digitalocean(token, time)),
    ("dreamhost", |key, time| U::new_dreamhost(key, time)),
    ("dynu", |key, time| U::new_dynu(key, time)),
    ("gandi", |token, time| U::new_gandiv5(token, time)),
    ("gcore", |token, time| U::new_gcore(token, time)),
    ("hetzner", |token, time| U::new_hetzner(token, time)),
    ("hostingde", |key, time| U::new_hostingde(key, time)),
    ("hostinger", |token, time| U::new_hostinger(token, time)),
    ("infomaniak", |token, time| U::new_infomaniak(token, time)),
    ("ionos", |key, time| U::new_ionos(key, time)),
    ("ipv64", |key, time| U::new_ipv64(key, time)),
    ("joker", |key, time| U::new_joker(JokerAuth::api_key(key), time)),
    ("linode", |token, time| U::new_linode(token, time)),
    ("namesilo", |key, time| U::new_namesilo(key, time)),
    ("netlify", |token, time| U::new_netlify(token, time)),
    ("ns1", |key, time| U::new_ns1(key, time)),
    ("safedns", |token, time| U::new_safedns(token, time)),
    ("scaleway", |token, time| U::new_scaleway(token, time)),
    ("vultr", |key, time| U::new_vultr(key, time)),
];

const TWO: [(&str, Two); 22] = [
    ("baidu", |id, key, time| U::new_baiducloud(id, key, time)),
    ("constellix", |id, key, time| U::new_constellix(id, key, time)),
    ("dnsimple", |token, account, time| U::new_dnsimple(token, account, time)),
    ("dnsmadeeasy", |id, key, time| U::new_dnsmadeeasy(id, key, time)),
    ("domeneshop", |id, key, time| U::new_domeneshop(id, key, time)),
    ("easydns", |id, key, time| U::new_easydns(id, key, time)),
    ("exoscale", |id, key, time| U::new_exoscale(id, key, time)),
    ("glesys", |user, key, time| U::new_glesys(user, key, time)),
    ("godaddy", |id, key, time| U::new_godaddy(id, key, time)),
    ("ibmcloud", |user, key, time| U::new_ibmcloud(user, key, time)),
    ("inwx", |user, password, time| U::new_inwx(user, password, false, time)),
    ("luadns", |user, token, time| U::new_luadns(user, token, time)),
    ("mythicbeasts", |user, password, time| U::new_mythicbeasts(user, password, time)),
    ("namedotcom", |user, token, time| U::new_namedotcom(user, token, time)),
    ("nifcloud", |id, key, time| U::new_nifcloud(id, key, time)),
    ("plesk", |url, key, time| U::new_plesk(url, key, time)),
    ("porkbun", |id, key, time| U::new_porkbun(id, key, time)),
    ("simply", |account, key, time| U::new_simplycom(account, key, time)),
    ("spaceship", |id, key, time| U::new_spaceship(id, key, time)),
    ("ultradns", |user, password, time| U::new_ultradns(user, password, None, time)),
    ("websupport", |id, key, time| U::new_websupport(id, key, time)),
    ("zoneeu", |user, key, time| U::new_zoneeu(user, key, time)),
];

const MANY: [(&str, Many); 22] = [
    ("autodns", autodns),
    ("azure", azure),
    ("bluecat", bluecat),
    ("cloudns", cloudns),
    ("cpanel", |said| Ok(U::new_cpanel(said.at(0)?, said.at(1)?, said.at(2)?, TIME)?)),
    ("edgedns", edgedns),
    ("gcloud", gcloud),
    ("huawei", |said| Ok(U::new_huaweicloud(said.at(0)?, said.at(1)?, said.at(2)?, TIME)?)),
    ("infoblox", infoblox),
    ("lightsail", lightsail),
    ("namecheap", namecheap),
    ("netcup", |said| Ok(U::new_netcup(said.at(0)?, said.at(1)?, said.at(2)?, TIME)?)),
    ("oraclecloud", oraclecloud),
    ("ovh", ovh),
    ("powerdns", powerdns),
    ("route53", route53),
    ("selectel", selectel),
    ("tencent", tencent),
    ("transip", transip),
    ("vercel", |said| Ok(U::new_vercel(said.at(0)?, said.may("team_id")?, TIME)?)),
    ("volcengine", volcengine),
    ("yandexcloud", yandexcloud),
];

const TIME: Option<Duration> = Some(REQUEST);

/// Opens the service that was named, by what was said.
pub(super) fn updater(said: &Said<'_>) -> anyhow::Result<U> {
    let name = said.library.kind.name;
    if let Some((_, open)) = ONE.iter().find(|(known, _)| *known == name) {
        return Ok(open(said.at(0)?, TIME)?);
    }
    if let Some((_, open)) = TWO.iter().find(|(known, _)| *known == name) {
        return Ok(open(said.at(0)?, said.at(1)?, TIME)?);
    }
    if let Some((_, open)) = MANY.iter().find(|(known, _)| *known == name) {
        return open(said);
    }
    bail!("nobody opens the kind {name}");
}

fn autodns(said: &Said<'_>) -> anyhow::Result<U> {
    let context = said.may("context")?.map(|number| number.parse()).transpose()?;
    Ok(U::new_autodns(said.at(0)?, said.at(1)?, context, TIME)?)
}

fn azure(said: &Said<'_>) -> anyhow::Result<U> {
    let environment = match said.may("environment")?.as_deref() {
        Some("china") => AzureEnvironment::China,
        Some("usgovernment") => AzureEnvironment::UsGovernment,
        Some(_) | None => AzureEnvironment::Public,
    };
    Ok(U::new_azuredns(AzureDnsConfig {
        tenant_id: said.value("tenant_id")?,
        client_id: said.value("client_id")?,
        client_secret: said.value("client_secret_file")?,
        subscription_id: said.value("subscription_id")?,
        resource_group: said.value("resource_group")?,
        environment,
        request_timeout: TIME,
    })?)
}

fn bluecat(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_bluecatv2(BluecatV2Config {
        server_url: said.value("server_url")?,
        username: said.value("username")?,
        password: said.value("password_file")?,
        config_name: said.value("config_name")?,
        view_name: said.value("view_name")?,
        skip_deploy: said.may("skip_deploy")?.as_deref() == Some("true"),
        request_timeout: TIME,
    })?)
}

fn cloudns(said: &Said<'_>) -> anyhow::Result<U> {
    let (id, sub_id) = (said.may("auth_id")?, said.may("sub_auth_id")?);
    Ok(U::new_cloudns(id, sub_id, said.value("auth_password_file")?, TIME)?)
}

fn edgedns(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_edgedns(EdgeDnsConfig {
        host: said.value("host")?,
        client_token: said.value("client_token")?,
        client_secret: said.value("client_secret_file")?,
        access_token: said.value("access_token_file")?,
        account_switch_key: said.may("account_switch_key")?,
        request_timeout: TIME,
    })?)
}

fn gcloud(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_google_cloud_dns(GoogleCloudDnsConfig {
        service_account_json: said.value("service_account_file")?,
        project_id: said.value("project_id")?,
        managed_zone: said.may("managed_zone")?,
        private_zone: false,
        impersonate_service_account: said.may("impersonate_service_account")?,
        request_timeout: TIME,
    })?)
}

fn infoblox(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_infoblox(InfobloxConfig {
        host: said.value("host")?,
        port: said.may("port")?,
        username: said.value("username")?,
        password: said.value("password_file")?,
        wapi_version: said.may("wapi_version")?,
        dns_view: said.may("dns_view")?,
        request_timeout: TIME,
    })?)
}

fn lightsail(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_lightsail(LightsailConfig {
        access_key_id: said.value("access_key_id")?,
        secret_access_key: said.value("secret_access_key_file")?,
        session_token: said.may("session_token_file")?,
        region: said.may("region")?,
        domain: None,
        request_timeout: TIME,
    })?)
}

fn namecheap(said: &Said<'_>) -> anyhow::Result<U> {
    let username = said.may("username")?;
    Ok(U::new_namecheap(said.at(0)?, said.at(1)?, said.at(2)?, username, TIME)?)
}

fn oraclecloud(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_oraclecloud(OracleCloudConfig {
        tenancy_ocid: said.value("tenancy_ocid")?,
        user_ocid: said.value("user_ocid")?,
        fingerprint: said.value("fingerprint")?,
        private_key_pem: said.value("private_key_file")?,
        private_key_password: None,
        region: said.value("region")?,
        compartment_ocid: said.value("compartment_ocid")?,
        request_timeout: TIME,
    })?)
}

fn ovh(said: &Said<'_>) -> anyhow::Result<U> {
    let endpoint = said.may("endpoint")?.unwrap_or_else(|| "ovh-eu".to_owned());
    let endpoint: OvhEndpoint = endpoint.parse()?;
    Ok(U::new_ovh(said.at(0)?, said.at(1)?, said.at(2)?, endpoint, TIME)?)
}

fn powerdns(said: &Said<'_>) -> anyhow::Result<U> {
    let endpoint = Some(said.value("endpoint")?);
    Ok(U::new_pdns(said.value("api_key_file")?, endpoint, said.may("server_name")?, TIME)?)
}

fn route53(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_route53(Route53Config {
        access_key_id: said.value("access_key_id")?,
        secret_access_key: said.value("secret_access_key_file")?,
        session_token: said.may("session_token_file")?,
        region: said.may("region")?,
        hosted_zone_id: said.may("hosted_zone_id")?,
        private_zone_only: Some(false),
        endpoint: None,
    })?)
}

fn selectel(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_selectel(said.at(0)?, said.at(1)?, said.at(2)?, said.at(3)?, TIME)?)
}

fn tencent(said: &Said<'_>) -> anyhow::Result<U> {
    let (region, token) = (said.may("region")?, said.may("session_token_file")?);
    Ok(U::new_tencentcloud(said.at(0)?, said.at(1)?, region, token, TIME)?)
}

fn transip(said: &Said<'_>) -> anyhow::Result<U> {
    let is_global = said.may("global_key")?.as_deref() == Some("true");
    Ok(U::new_transip(said.at(0)?, said.at(1)?, is_global, TIME)?)
}

fn volcengine(said: &Said<'_>) -> anyhow::Result<U> {
    Ok(U::new_volcengine(VolcengineConfig {
        access_key: said.value("access_key")?,
        secret_key: said.value("secret_key_file")?,
        region: said.may("region")?,
        host: None,
        scheme: None,
        request_timeout: TIME,
    })?)
}

fn yandexcloud(said: &Said<'_>) -> anyhow::Result<U> {
    // The library wants the key's JSON in base64; Yandex hands it out as it is.
    let key = Zeroizing::new(said.value("iam_key_file")?);
    Ok(U::new_yandexcloud(YandexCloudConfig {
        iam_token_b64: STANDARD.encode(key.as_bytes()),
        folder_id: said.value("folder_id")?,
        request_timeout: TIME,
    })?)
}
