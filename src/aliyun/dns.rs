//! The calls of Alibaba Cloud DNS (alidns, API version 2015-01-09).

use serde_json::Value;

use super::{Account, Api, Call, Error, Kind, Limit, Pages, Product, READ_TIME, all_pages, text};

/// A zone that the account hosts (DescribeDomains).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// DomainName; may be in Unicode.
    pub name: String,
    /// PunyCode: the same in ASCII.
    pub puny_code: Option<String>,
}

/// A TXT record (DescribeSubDomainRecords).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    /// RecordId.
    pub id: String,
    /// RR: the name within the zone, `@` for the zone itself.
    pub rr: String,
    /// Value.
    pub value: String,
}

impl Account {
    /// All zones of the account.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn describe_domains(&self) -> Result<Vec<Zone>, Error> {
        let pages = Pages {
            api: &DESCRIBE_DOMAINS,
            subject: "*",
            size: 100,
            outer: "Domains",
            inner: "Domain",
        };
        let zones = all_pages(self, &pages, &[]).await?;
        Ok(zones.iter().filter_map(Zone::of).collect())
    }

    /// Adds a TXT record and returns its RecordId; of the one that is there, if it is. `rr` is `@` for the zone itself.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn add_domain_record(
        &self,
        zone: &str,
        rr: &str,
        value: &str,
    ) -> Result<String, Error> {
        let params = [("DomainName", zone), ("RR", rr), ("Type", "TXT"), ("Value", value)];
        let call = Call { api: &ADD_DOMAIN_RECORD, params: &params, subject: zone, secret: None };
        let answer = match self.ask(&call).await {
            Ok(answer) => answer,
            Err(error) if error.code == "DomainRecordDuplicate" => {
                return self.find_record(zone, rr, value, error).await;
            }
            Err(error) => return Err(error),
        };
        text(&answer, "RecordId").ok_or_else(|| {
            let help =
                "look at the zone in the Alibaba Cloud DNS console; the next run tries again";
            Error::new(
                Kind::UnknownOutcome,
                "NoRecordId",
                "the answer of AddDomainRecord names no record",
                help,
            )
        })
    }

    /// Deletes a record by its RecordId. One that is gone already is as good.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn delete_domain_record(&self, record_id: &str) -> Result<(), Error> {
        let params = [("RecordId", record_id)];
        let call = Call { api: &DELETE_DOMAIN_RECORD, params: &params, subject: "*", secret: None };
        match self.ask(&call).await {
            Ok(_) => Ok(()),
            Err(error) if GONE.contains(&error.code.as_str()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The TXT records at the name `fqdn` of the zone `zone`.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn describe_sub_domain_records(
        &self,
        fqdn: &str,
        zone: &str,
    ) -> Result<Vec<DnsRecord>, Error> {
        let pages = Pages {
            api: &DESCRIBE_SUB_DOMAIN_RECORDS,
            subject: zone,
            size: 100,
            outer: "DomainRecords",
            inner: "Record",
        };
        let params = [("SubDomain", fqdn), ("DomainName", zone), ("Type", "TXT")];
        let records = all_pages(self, &pages, &params).await?;
        Ok(records.iter().filter_map(DnsRecord::of).collect())
    }

    /// The record that made ours a duplicate.
    async fn find_record(
        &self,
        zone: &str,
        rr: &str,
        value: &str,
        duplicate: Error,
    ) -> Result<String, Error> {
        let fqdn = if rr == "@" { zone.to_owned() } else { format!("{rr}.{zone}") };
        let records = self.describe_sub_domain_records(&fqdn, zone).await?;
        let same = |record: &DnsRecord| record.rr.eq_ignore_ascii_case(rr) && record.value == value;
        records.into_iter().find(same).map(|record| record.id).ok_or(duplicate)
    }
}

impl Zone {
    fn of(value: &Value) -> Option<Self> {
        Some(Self { name: text(value, "DomainName")?, puny_code: text(value, "PunyCode") })
    }
}

impl DnsRecord {
    fn of(value: &Value) -> Option<Self> {
        Some(Self {
            id: text(value, "RecordId")?,
            rr: text(value, "RR")?,
            // zone files write TXT in quotes, and some consoles keep them
            value: text(value, "Value")?.trim_matches('"').to_owned(),
        })
    }
}

/// What the cloud says of a record that is not there (terraform, lego).
const GONE: [&str; 2] = ["DomainRecordNotBelongToUser", "InvalidRR.NoExist"];

/// Limits: the quota page of alidns, calls a second and account.
const fn api(action: &'static str, per_second: u32) -> Api {
    let limit = Limit::PerSecond(per_second);
    Api { product: Product::Dns, action, limit, timeout: READ_TIME }
}

static ADD_DOMAIN_RECORD: Api = api("AddDomainRecord", 60);
static DELETE_DOMAIN_RECORD: Api = api("DeleteDomainRecord", 60);
static DESCRIBE_SUB_DOMAIN_RECORDS: Api = api("DescribeSubDomainRecords", 300);
/// Not on the quota page: the least of those that are.
static DESCRIBE_DOMAINS: Api = api("DescribeDomains", 20);

#[cfg(test)]
mod tests;
