//! Issues and verifies `CLIENT.SIGNATURE` keys; nothing is stored anywhere.

use timberyard_server::auth::{HmacKeys, Secret};

use crate::cli::SignedKeyCommand;
use crate::failure::Failure;

/// The key of a client, or the client of a key. `variable` reads the environment.
pub(super) fn answer(
    command: &SignedKeyCommand,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let keys = |typed: &Option<String>| {
        let secret = typed.clone().or_else(|| variable("AUTH_SECRET")).filter(|secret| !secret.is_empty());
        secret
            .map(|secret| HmacKeys::new(Secret::new(&secret)))
            .ok_or_else(|| Failure::usage("there is no secret: give --secret or set AUTH_SECRET"))
    };
    match command {
        SignedKeyCommand::Issue { client, secret } => {
            keys(secret)?.issue(client).map_err(|error| Failure::usage(format!("--client: {error}")))
        }
        SignedKeyCommand::Verify { key, secret } => keys(secret)?
            .verify(key)
            .map(str::to_owned)
            .ok_or_else(|| Failure::new("this is not a key of this secret")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(client: &str, secret: Option<&str>) -> SignedKeyCommand {
        SignedKeyCommand::Issue { client: client.to_owned(), secret: secret.map(str::to_owned) }
    }

    fn verify(key: &str) -> SignedKeyCommand {
        SignedKeyCommand::Verify { key: key.to_owned(), secret: None }
    }

    #[test]
    fn a_key_is_issued_and_verified_with_the_secret_of_the_environment() {
        let environment = |name: &str| (name == "AUTH_SECRET").then(|| "s".to_owned());
        let key = answer(&issue("team.web", None), environment).expect("issued");
        assert!(key.starts_with("team.web."));
        assert_eq!(answer(&verify(&key), environment).expect("good"), "team.web");
        let other = answer(&issue("team.web", Some("t")), environment).expect("issued");
        assert_eq!(answer(&verify(&other), environment).expect_err("another secret").exit_code(), 1);
        assert_eq!(answer(&verify(&key), |_| None).expect_err("no secret").exit_code(), 2);
        assert_eq!(answer(&issue("a b", None), environment).expect_err("no name").exit_code(), 2);
    }
}
