//! Connections that are encrypted.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use timberyard_connectors::postgres::{PostgresPool, PostgresSettings, PostgresSink, PostgresTls};
use timberyard_testkit::parts::postgres::Postgres;

use super::fixture::{plain, settings, write};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

#[tokio::test]
async fn a_connection_is_encrypted_and_its_certificate_is_checked() {
    let (root, stranger) = (authority(), authority());
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &root).expect("a certificate");
    let server = Postgres::start_with_tls(&certificate.pem(), &key.serialize_pem());
    let folder = tempfile::tempdir().expect("a folder");
    let trusting = |name: &str, authority: &CertifiedIssuer<'_, KeyPair>, server: &Postgres| {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.pem()).expect("written");
        let plain = settings(server, &server.create_database());
        PostgresSettings { tls: PostgresTls::Required, ca_file: Some(path), ..plain }
    };
    let sink = |settings: PostgresSettings| {
        PostgresSink::new("postgres", PostgresPool::new(settings).expect("settings are right"))
    };
    let good = sink(trusting("root.pem", &root, &server));
    assert_eq!(write(&good, plain(&["a"], 1)).await, Ok(()));
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'timberyard'";
    assert_eq!(server.sql("postgres", encrypted), "t");

    let refused = sink(trusting("stranger.pem", &stranger, &server)).connect_check().await;
    let refused = refused.expect_err("nobody trusts it");
    assert!(refused.contains("cannot be reached") && refused.contains("certificate"), "{refused}");
    let unencrypted = trusting("root.pem", &root, Postgres::shared());
    let refused = sink(unencrypted).connect_check().await.expect_err("it speaks no TLS");
    assert!(refused.contains("TLS"), "{refused}");
    let nonsense = folder.path().join("nonsense.pem");
    std::fs::write(&nonsense, "none").expect("written");
    let settings = PostgresSettings { ca_file: Some(nonsense), ..trusting("root.pem", &root, &server) };
    assert!(PostgresPool::new(settings).err().expect("no certificates").starts_with("ca_file: "));
}
