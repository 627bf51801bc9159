//! Where `start` may lead back to: never away from the application.

#![no_main]

use gatepost::application::ReturnTo;
use gatepost::origin::Mode;
use gatepost_fuzz::snapshot;
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|target: &str| {
    for application in snapshot().applications.iter() {
        let Some(accepted) = ReturnTo::parse(target, application) else {
            continue;
        };
        let text = accepted.as_str();
        assert!(
            text.bytes()
                .all(|b| (0x21..0x7f).contains(&b) && b != b'\\'),
            "{text}"
        );
        let url = Url::parse(text).expect("a URL");
        assert_eq!(
            url.as_str(),
            text,
            "the outpost sends the URL that it checked"
        );
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{text}"
        );
        assert_eq!(
            url.scheme(),
            application.external().url().scheme(),
            "{text}"
        );
        match application.mode() {
            Mode::Single => assert_eq!(url.origin(), application.external().url().origin()),
            Mode::Domain(domain) => assert!(domain.contains(url.host_str().expect("a host"))),
        }
        let again = ReturnTo::parse(text, application).expect("accepted again");
        assert_eq!(again, accepted);
    }
});
