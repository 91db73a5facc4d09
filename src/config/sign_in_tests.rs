use super::*;

fn with(methods: &[&str]) -> raw::SignIn {
    raw::SignIn { methods: methods.iter().map(|m| (*m).to_owned()).collect(), ..Default::default() }
}

#[test]
fn a_method_that_is_used_must_be_complete_and_others_need_not() {
    assert!(sign_in(&with(&[])).unwrap().methods.is_empty());
    assert!(sign_in(&with(&["pam"])).unwrap().has(Method::Pam));
    for (method, key) in [
        ("imap", "sign_in.imap.server"),
        ("smtp", "sign_in.smtp.server"),
        ("ldap", "sign_in.ldap.bind_dn"),
        ("email", "sign_in.email.allowed_domains"),
        ("command", "sign_in.command.program"),
    ] {
        assert_eq!(sign_in(&with(&[method])).unwrap_err().0, key, "{method}");
    }
    for twice in [["pam", "pam"], ["imapp", "pam"]] {
        assert_eq!(sign_in(&with(&twice)).unwrap_err().0, "sign_in.methods");
    }
}

#[test]
fn passwords_travel_in_plain_text_to_this_machine_only() {
    let server_of = |host: &str, encryption: &str| {
        let raw = raw::Server { server: host.into(), encryption: encryption.into(), ..Default::default() };
        server(IMAP_KEYS, &raw, IMAP)
    };
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!(server_of(host, "plain").unwrap().port, 143);
    }
    for host in ["mail.example.org", "localhost.example.org", "192.0.2.1"] {
        assert_eq!(server_of(host, "plain").unwrap_err().0, "sign_in.imap.encryption");
    }
    assert_eq!(server_of("mail.example.org", "tls").unwrap().port, 993);
    assert_eq!(server_of("mail.example.org", "starttls").unwrap().port, 143);
    assert!(server_of("mail.example.org\r\nx", "tls").is_err());
}

#[test]
fn links_in_mails_need_an_address_that_no_client_chooses() {
    let email = raw::SignIn {
        email: raw::Email { allowed_domains: vec!["example.org".into()], ..Default::default() },
        ..with(&["email"])
    };
    let email = sign_in(&email).unwrap();
    assert_eq!(reached(None, &email).unwrap_err().0, "public_url");
    assert!(reached(Some("https://desk.example.org".into()), &email).is_ok());
    assert_eq!(reached(None, &sign_in(&with(&["pam"])).unwrap()), Ok(None));
}

#[test]
fn sign_out_leads_to_no_script() {
    assert!(sign_out_url("/oidc/redirect?logout=https%3A%2F%2Fexample.org").is_ok());
    assert!(sign_out_url("https://idp.example.org/logout").is_ok());
    for wrong in ["javascript:alert(1)", "//evil.example", "http://idp.example.org", "/a b"] {
        assert!(sign_out_url(wrong).is_err(), "{wrong}");
    }
}
