//! Puts written values in their places and reads them back to be shown.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use timberyard_pipeline::process::description::RuleDescription;

use super::inputs::{self, InputDescriptions};
use super::keys::{Place, Unit};
use super::lookup::Found;
use super::processing;
use super::settings::{Settings, TenantLimit};
use super::sinks::{self, SinkDescriptions};
use super::stream_retention::StreamRetention;
use super::written::Written;

/// A value as it is shown: one scalar, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing is set.
    Nothing,
    /// Text, to be quoted where YAML needs it.
    Text(String),
    /// A number or a switch.
    Bare(String),
    /// A list of texts.
    List(Vec<String>),
    /// Rules for streams.
    StreamRetentions(Vec<StreamRetention>),
    /// Sinks by name.
    Sinks(SinkDescriptions),
    /// Inputs by name.
    Inputs(InputDescriptions),
    /// Rules of processing.
    Processing(Vec<RuleDescription>),
}

/// What setting a value also set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Also {
    /// Nothing else.
    Nothing,
    /// The port, as part of an address.
    Port,
}

/// Puts the value in its place. An empty value leaves everything as it is.
pub(crate) fn set(settings: &mut Settings, found: &Found, written: &Written) -> Result<Also, String> {
    if written.is_empty() {
        return Ok(Also::Nothing);
    }
    if found.is_tenant_limit() {
        return set_tenant_limit(settings, found, written);
    }
    match &found.key().place {
        Place::Listen => return set_listen(settings, written.scalar()?),
        Place::Port => {
            let text = written.scalar()?;
            settings.port =
                text.parse().map_err(|_| format!("must be a port from 0 to 65535, not `{text}`"))?;
        }
        Place::Path(at) => *at(settings) = PathBuf::from(written.text()?),
        Place::Text(at) => *at(settings) = written.text()?.trim().to_owned(),
        Place::Choice(words, at) => {
            let text = written.scalar()?;
            if !words.contains(&text) {
                return Err(format!("must be one of {}, not `{text}`", words.join(", ")));
            }
            *at(settings) = text.to_owned();
        }
        Place::OptionalText(at) => *at(settings) = Some(written.text()?),
        Place::Texts(at) => {
            let items = written.items()?;
            // Keys that are none would turn authentication off where somebody meant to turn it on.
            if items.is_empty() && found.key().secret {
                return Err("is written and holds no key; write one, or leave it out".to_owned());
            }
            *at(settings) = items;
        }
        Place::Switch(at) => *at(settings) = written.switch()?,
        Place::OptionalSwitch(at) => *at(settings) = Some(written.switch()?),
        Place::Usize(unit, at) => *at(settings) = fit(positive(written, *unit)?)?,
        Place::UsizeOrZero(unit, at) => *at(settings) = fit(number(written, *unit)?)?,
        Place::U64(unit, at) => *at(settings) = positive(written, *unit)?,
        Place::I64(unit, at) => *at(settings) = fit(number(written, *unit)?)?,
        Place::OptionalUsize(unit, at) => {
            let value = number(written, *unit)?;
            *at(settings) = if value == 0 { None } else { Some(fit(value)?) };
        }
        Place::OptionalU64(unit, at) => {
            let value = number(written, *unit)?;
            *at(settings) = (value != 0).then_some(value);
        }
        Place::StreamRetentions(at) => at(settings).streams = stream_retentions(written)?,
        Place::Sinks(at) => *at(settings) = sinks::read(&structured(written)?)?,
        Place::Inputs(at) => *at(settings) = inputs::read(&structured(written)?)?,
        Place::Processing(at) => *at(settings) = processing::read(&structured(written)?)?,
        Place::StreamRetentionsOfTenant => {
            let tenant = found.tenant.as_deref().unwrap_or_default();
            super::keys::check_tenant(tenant)?;
            let streams = stream_retentions(written)?;
            settings.tenants.entry(tenant.to_owned()).or_default().streams = streams;
        }
        Place::OfTenant(unit, at) => {
            let tenant = found.tenant.as_deref().unwrap_or_default();
            super::keys::check_tenant(tenant)?;
            let value = number(written, *unit)?;
            let retention = settings.tenants.entry(tenant.to_owned()).or_default();
            *at(retention) = (value != 0).then_some(value);
        }
    }
    Ok(Also::Nothing)
}

/// Reads the value back; changes nothing.
pub(crate) fn show(settings: &mut Settings, found: &Found) -> Shown {
    if found.is_tenant_limit() {
        let tenant = found.tenant.as_deref().unwrap_or_default();
        return show(&mut with_tenant_limits(settings, tenant), &Found { tenant: None, ..found.clone() });
    }
    let bare = |value: &dyn std::fmt::Display| Shown::Bare(value.to_string());
    let optional = |value: Option<String>| value.map_or(Shown::Nothing, Shown::Bare);
    match &found.key().place {
        Place::Listen => Shown::Text(settings.listen().to_string()),
        Place::Port => bare(&settings.port),
        Place::Path(at) => Shown::Text(at(settings).display().to_string()),
        Place::Text(at) | Place::Choice(_, at) => Shown::Text(at(settings).clone()),
        Place::OptionalText(at) => at(settings).clone().map_or(Shown::Nothing, Shown::Text),
        Place::Texts(at) => Shown::List(at(settings).clone()),
        Place::Switch(at) => bare(at(settings)),
        Place::OptionalSwitch(at) => optional(at(settings).map(|value| value.to_string())),
        Place::Usize(_, at) | Place::UsizeOrZero(_, at) => bare(at(settings)),
        Place::U64(_, at) => bare(at(settings)),
        Place::I64(_, at) => bare(at(settings)),
        Place::OptionalUsize(_, at) => optional(at(settings).map(|value| value.to_string())),
        Place::OptionalU64(_, at) => optional(at(settings).map(|value| value.to_string())),
        Place::Sinks(at) => Shown::Sinks(at(settings).clone()),
        Place::Inputs(at) => Shown::Inputs(at(settings).clone()),
        Place::Processing(at) => Shown::Processing(at(settings).clone()),
        Place::StreamRetentions(at) => Shown::StreamRetentions(at(settings).streams.clone()),
        Place::StreamRetentionsOfTenant => {
            let tenant = found.tenant.as_deref().unwrap_or_default();
            let retention = settings.tenants.get(tenant);
            Shown::StreamRetentions(retention.map(|own| own.streams.clone()).unwrap_or_default())
        }
        Place::OfTenant(_, at) => {
            let tenant = found.tenant.as_deref().unwrap_or_default();
            let retention = settings.tenants.get_mut(tenant);
            optional(retention.and_then(|retention| at(retention).map(|value| value.to_string())))
        }
    }
}

/// Rules for streams: a YAML list, or the text of one.
fn stream_retentions(written: &Written) -> Result<Vec<StreamRetention>, String> {
    match structured(written)? {
        Written::List(items) => items.iter().map(StreamRetention::read).collect(),
        other => Ok(vec![StreamRetention::read(&other)?]),
    }
}

/// What has parts in YAML, where the text of it is written, as in an environment variable.
fn structured(written: &Written) -> Result<Written, String> {
    match written {
        Written::Text(text) => super::yaml::parse_value(text),
        written => Ok(written.clone()),
    }
}

/// Keeps the value beside the tenant's name, if the key could have it.
fn set_tenant_limit(settings: &mut Settings, found: &Found, written: &Written) -> Result<Also, String> {
    let tenant = found.tenant.as_deref().unwrap_or_default();
    super::keys::check_tenant(tenant)?;
    set(&mut settings.clone(), &Found { tenant: None, ..found.clone() }, written)?;
    let limits = settings.tenant_limits.entry(tenant.to_owned()).or_default();
    limits.retain(|limit| limit.key != found.number);
    limits.push(TenantLimit { key: found.number, written: written.clone() });
    Ok(Also::Nothing)
}

/// The settings with one tenant's limits in the place of everybody's.
pub(crate) fn with_tenant_limits(settings: &Settings, tenant: &str) -> Settings {
    let mut own = settings.clone();
    for limit in settings.tenant_limits.get(tenant).into_iter().flatten() {
        // The value has been tried when it was kept.
        let _ = set(&mut own, &Found { number: limit.key, tenant: None }, &limit.written);
    }
    let request = &mut own.limits.request;
    request.inflated_bytes_max = request.inflated_bytes_max.max(request.body_bytes_max);
    own
}

/// `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; `localhost` is an address too.
fn set_listen(settings: &mut Settings, text: &str) -> Result<Also, String> {
    let spelled = match text.strip_prefix("localhost") {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => format!("{}{rest}", Ipv4Addr::LOCALHOST),
        _ => text.to_owned(),
    };
    if let Ok(address) = spelled.parse::<SocketAddr>() {
        settings.address = address.ip();
        settings.port = address.port();
        return Ok(Also::Port);
    }
    let bare = spelled.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&spelled);
    settings.address = bare.parse::<IpAddr>().map_err(|_| {
        format!("must be an address such as 127.0.0.1:8080, [::1]:8080 or 0.0.0.0, not `{text}`")
    })?;
    Ok(Also::Nothing)
}

fn number(written: &Written, unit: Unit) -> Result<u64, String> {
    match unit {
        Unit::Count => written.count(),
        Unit::Bytes => written.bytes(),
        Unit::Seconds => written.seconds(),
    }
}

fn positive(written: &Written, unit: Unit) -> Result<u64, String> {
    match number(written, unit)? {
        0 => Err("must be at least 1".to_owned()),
        value => Ok(value),
    }
}

fn fit<T: TryFrom<u64>>(value: u64) -> Result<T, String> {
    T::try_from(value).map_err(|_| format!("is {value}, which is more than this machine can count"))
}
