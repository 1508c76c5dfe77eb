//! Opens what was sealed in a body, for the operator who asks for it.
//!
//! Guarantees: every sealed literal is replaced by the exact one that stood there, a body that was
//! sealed whole is the exact bytes that came, and all else stays byte for byte. Nothing is half
//! opened: one literal that cannot be opened is an error. It never writes anything anywhere.

use zeroize::Zeroizing;

use super::seal::{KeyRing, OpenError};
use crate::webhook::secrets;

/// The body as it came.
///
/// What was discarded instead of sealed stays as the mark that stands there.
///
/// # Errors
/// When a literal was sealed with another key, or is damaged.
pub fn unseal(body: &[u8], keys: &KeyRing) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    // What is no text was never searched for secrets, nor sealed.
    let Ok(text) = std::str::from_utf8(body) else { return Ok(Zeroizing::new(body.to_vec())) };
    match keys.open(text) {
        Err(OpenError::NotSealed) => {}
        whole => return whole,
    }
    let opened = secrets::replace(text, |literal| match keys.open(literal) {
        Ok(opened) => String::from_utf8(opened.to_vec()).map_err(|_| OpenError::Damaged),
        Err(OpenError::NotSealed) => Ok(literal.to_owned()),
        Err(error) => Err(error),
    })?;
    Ok(Zeroizing::new(opened.into_owned().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::credentials::seal::Sealer;

    fn keys() -> KeyRing {
        KeyRing::of(&[[1; 32]])
    }

    /// As the ingress seals what is JSON.
    fn sealed(text: &str) -> String {
        let sealer = Sealer::Seal(keys());
        let Ok(sealed) =
            secrets::replace(text, |literal| Ok::<_, Infallible>(sealer.conceal(literal.as_bytes())));
        sealed.into_owned()
    }

    proptest! {
        #[test]
        fn opening_undoes_sealing(string: String, number: i64, name in "[a-z]{0,3}(Token|KEY|secret)?") {
            let string = serde_json::to_string(&string).unwrap();
            let text = format!(
                r#"{{ "{name}" : [{string}, {{"{name}":{number}}}], "Tokens":[{{"Sealed":"QQ=="}}], "x":{string} }}"#
            );
            prop_assert_eq!(&**unseal(sealed(&text).as_bytes(), &keys()).unwrap(), text.as_bytes());
        }

        #[test]
        fn a_body_that_was_sealed_whole_is_the_bytes_that_came(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let whole = Sealer::Seal(keys()).conceal(&body);
            prop_assert_eq!(&**unseal(whole.as_bytes(), &keys()).unwrap(), &body);
        }

        #[test]
        fn what_is_not_sealed_stays(body in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(&**unseal(&body, &keys()).unwrap(), &body);
        }
    }

    #[test]
    fn marks_stay_and_another_key_is_an_error() {
        let marks = r#"{"Token":{"Discarded":true},"Key":{"Sealed":true}}"#;
        assert_eq!(&**unseal(marks.as_bytes(), &keys()).unwrap(), marks.as_bytes());
        let sealed = sealed(r#"{"a":1,"Token":"x"}"#);
        assert!(matches!(unseal(sealed.as_bytes(), &KeyRing::of(&[[2; 32]])), Err(OpenError::UnknownKey(_))));
    }
}
