//! Combined access log of ten edges: addresses that come back, skewed pages, ten kinds of clients.

use fastrand::Rng;

use super::draw::{Skewed, log_normal, pick, public_address};
use super::{Generator, NEEDLE, Place, RARE_WORD, StreamLabels};

const HOSTS: usize = 10;
const ADDRESSES: usize = 20_000;
/// Articles that are looked at; a few of them most of the time.
const ARTICLES: usize = 50_000;
/// `#` is the number of an article.
const PAGES: [&str; 14] = [
    "/",
    "/index.html",
    "/login",
    "/articles/#",
    "/articles/#?from=home&sort=price",
    "/basket",
    "/api/items/#",
    "/static/js/app.#.js",
    "/static/css/site.#.css",
    "/img/a/#.jpg",
    "/search?q=article+#&page=2",
    "/account/orders/#",
    "/healthz",
    "/favicon.ico",
];
const PAGE_WEIGHTS: [f64; 14] = [10.0, 4.0, 3.0, 14.0, 6.0, 4.0, 12.0, 8.0, 6.0, 16.0, 6.0, 4.0, 4.0, 2.0];
const AGENTS: [&str; 10] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "curl/8.10.1",
    "Go-http-client/2.0",
    "kube-probe/1.31",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
];
const AGENT_WEIGHTS: [f64; 10] = [30.0, 14.0, 16.0, 14.0, 8.0, 4.0, 4.0, 4.0, 4.0, 2.0];
const STATUS: [u16; 9] = [200, 304, 301, 404, 403, 499, 500, 502, 503];
const STATUS_WEIGHTS: [f64; 9] = [80.0, 8.0, 3.0, 4.0, 1.0, 1.5, 0.9, 0.9, 0.7];

pub(super) struct Nginx {
    rng: Rng,
    addresses: Vec<String>,
    visits: Skewed,
    page: Skewed,
    article: Skewed,
    agent: Skewed,
    status: Skewed,
}

impl Nginx {
    pub(super) fn new(mut rng: Rng) -> Self {
        Self {
            addresses: (0..ADDRESSES).map(|_| public_address(&mut rng)).collect(),
            visits: Skewed::new(ADDRESSES, 1.1),
            page: Skewed::weighted(&PAGE_WEIGHTS),
            article: Skewed::new(ARTICLES, 1.2),
            agent: Skewed::weighted(&AGENT_WEIGHTS),
            status: Skewed::weighted(&STATUS_WEIGHTS),
            rng,
        }
    }
}

impl Generator for Nginx {
    fn streams(&self) -> Vec<StreamLabels> {
        (0..HOSTS)
            .map(|host| vec![("host", format!("edge-{host:02}")), ("job", "nginx".to_owned())])
            .collect()
    }

    fn write(&mut self, place: Place, text: &mut String) -> usize {
        let rng = &mut self.rng;
        text.push_str(&self.addresses[self.visits.draw(rng)]);
        match rng.u8(0..20) {
            0 => text.push_str(&format!(" - user{} [", rng.u16(0..300))),
            _ => text.push_str(" - - ["),
        }
        let article = self.article.draw(rng);
        let method = ["GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "HEAD"];
        text.push_str(&format!("01/Nov/2026:{} +0000] \"{} ", place.time_of_day(), pick(rng, &method)));
        if place.has_needle() {
            text.push_str(&format!("/track?rid={NEEDLE}"));
        } else if place.has_rare_word() {
            text.push_str(&format!("/offers/{RARE_WORD}/{}", rng.u16(1..500)));
        } else {
            let page = PAGES[self.page.draw(rng)];
            match page.split_once('#') {
                Some((before, after)) => text.push_str(&format!("{before}{}{after}", article + 1)),
                None => text.push_str(page),
            }
        }
        let status = STATUS[self.status.draw(rng)];
        // Most answers are a few kilobytes, a few are megabytes.
        let bytes = if status == 304 { 0 } else { log_normal(rng, 8.2, 1.6) as u32 };
        text.push_str(&format!(" HTTP/1.1\" {status} {bytes} \""));
        match rng.u8(0..3) {
            0 => text.push_str(&format!("https://www.example.com/articles/{}", article + 1)),
            _ => text.push('-'),
        }
        text.push_str(&format!("\" \"{}\"", AGENTS[self.agent.draw(rng)]));
        rng.usize(0..HOSTS)
    }
}
