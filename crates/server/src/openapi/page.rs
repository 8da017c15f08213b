//! The table of endpoints as a page for people: one file, no script, nothing loaded.
//!
//! All text is from the program itself; it is escaped all the same.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::document::{names, scope};
use super::endpoints::{Body, ENDPOINTS};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,.path{font-family:ui-monospace,monospace}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #8884}\
.method{text-transform:uppercase;font-weight:600;white-space:nowrap}.note{opacity:.7}\
:root{color-scheme:light dark}";

/// Lets the page's own style in, by its digest, and nothing else.
pub(super) fn policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The whole page.
pub(super) fn page() -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Timberyard API</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n<body>\
         <h1>Timberyard {}</h1><p>For programs: <a href=\"openapi.json\"><code>openapi.json</code></a>. With authentication \
         on, a key goes into <code>X-API-Key</code> or <code>Authorization: Bearer</code>.</p>\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut systems: Vec<&str> = Vec::new();
    for endpoint in ENDPOINTS {
        if !systems.contains(&endpoint.system) {
            systems.push(endpoint.system);
        }
    }
    for system in systems {
        // Writing to a string cannot fail.
        let _ = write!(out, "<h2>{}</h2>\n<table>", escaped(system));
        for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.system == system) {
            let parameters: Vec<String> = names(endpoint)
                .map(|(name, required)| match required {
                    true => format!("<strong><code>{}</code></strong>", escaped(name)),
                    false => format!("<code>{}</code>", escaped(name)),
                })
                .collect();
            let needs = scope(endpoint.access).map_or("open".to_owned(), |scope| format!("scope {scope}"));
            let sent = match endpoint.body {
                Body::Nothing => "",
                Body::Form => "; parameters in the URL or as a form",
                Body::Json(_) => "; JSON body",
                Body::LokiPush => "; body of JSON, or protobuf in snappy",
                Body::NdJson => "; body of lines of JSON",
                Body::AnyText => "; body of text",
                Body::Otlp | Body::V1Logs => "; body of JSON or protobuf",
                Body::JournalExport => "; body in the export format of journals",
            };
            let _ = writeln!(
                out,
                "<tr><td class=\"method\">{}</td><td><div class=\"path\">{}</div><div>{}</div>\
                 <div>{}</div><div class=\"note\">{}{sent}</div></td></tr>",
                endpoint.methods.join(", "),
                escaped(endpoint.path),
                escaped(endpoint.summary),
                parameters.join(" "),
                escaped(&needs),
            );
        }
        out.push_str("</table>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
