//! Stored keys in a PostgreSQL that several servers share.

use serde_json::json;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::parts::postgres::Postgres;
use timberyard_testkit::server_process::ServerProcess;

use crate::postgres::database_variables;
use crate::start::server_with;
use crate::terminal::timberyard;

/// A server whose stored keys are in that database.
fn server(variables: &[(&'static str, String)]) -> ServerProcess {
    let own = [("TIMBERYARD_AUTH_STORE", "postgres"), ("API_KEYS", "root")];
    let variables = variables.iter().map(|(name, value)| (*name, &**value));
    server_with(&variables.chain(own).collect::<Vec<_>>())
}

/// The status of a write with a key; the database has no part in it.
fn status(server: &ServerProcess, key: &str) -> u16 {
    let entries = json!([{ "message": "a line", "source": "shop" }]);
    server.post("/v1/logs").header("X-API-Key", key).json(&entries).send().status
}

fn keys(server: &ServerProcess, arguments: &[&str]) -> String {
    let url = server.url("");
    let at = ["--url", url.as_str(), "--api-key", "root"];
    timberyard(&[&["keys"], arguments, &at].concat()).succeeded().text().trim().to_owned()
}

#[test]
fn a_key_of_one_server_is_good_on_the_other_until_it_is_taken_back_on_either() {
    let database = Postgres::shared();
    let variables = database_variables(database);
    let (one, two) = (server(&variables), server(&variables));
    let web = keys(&one, &["create", "--name", "web"]);
    assert_eq!(status(&one, &web), 202);
    eventually("the other server to know the key", || (status(&two, &web) == 202).then_some(()));
    let api = keys(&two, &["create", "--name", "api"]);
    eventually("the first server to know that one", || (status(&one, &api) == 202).then_some(()));
    let used = |name: &str| {
        let sql = format!("SELECT usage_count, last_used_at IS NOT NULL FROM api_keys WHERE name = '{name}'");
        database.sql(&variables[2].1, &sql)
    };
    // One on each of them.
    eventually("use by both servers to be added up", || (used("web") == "2|t").then_some(()));
    keys(&two, &["revoke", "web"]);
    assert_eq!(status(&two, &web), 401);
    eventually("the first server to know of it", || (status(&one, &web) == 401).then_some(()));
    assert_eq!((status(&one, &api), status(&two, &api)), (202, 202));
    let shown = "SELECT string_agg(name || is_active, ' ' ORDER BY name) FROM api_keys";
    assert_eq!(database.sql(&variables[2].1, shown), "apitrue webfalse");
    let dump = database.sql(&variables[2].1, "SELECT string_agg(api_keys::text, ' ') FROM api_keys");
    assert!(!dump.contains(&web) && !dump.contains(&api), "only digests are stored");
}

#[test]
fn while_the_database_is_away_known_keys_are_good_and_of_others_nobody_can_tell() {
    let mut database = Postgres::start();
    let variables = database_variables(&database);
    let server = server(&variables);
    let web = keys(&server, &["create", "--name", "web"]);
    let unknown = web.replacen(&web[4..8], if &web[4..8] == "0000" { "1111" } else { "0000" }, 1);
    assert_eq!((status(&server, &web), status(&server, &unknown)), (202, 401));
    database.kill();
    eventually("the database to be missed", || (status(&server, &unknown) == 503).then_some(()));
    assert_eq!((status(&server, &web), status(&server, "root")), (202, 202));
    assert_eq!(status(&server, "no key of the kind"), 401);
    database.restart();
    eventually("the database to be asked again", || (status(&server, &unknown) == 401).then_some(()));
    assert_eq!(status(&server, &web), 202);
}
