//! The values of records: JSON put together around literals that stay byte for byte.

use std::borrow::Cow;

use bytes::Bytes;

use super::draft::Source;
use crate::{credentials::seal, webhook::secrets};

/// A JSON object around literals that are put in byte for byte.
struct Object(Vec<u8>);

impl Object {
    fn with_capacity(bytes: usize) -> Self {
        let mut object = Vec::with_capacity(bytes);
        object.push(b'{');
        Self(object)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn raw(mut self, name: &str, literals: &[&[u8]]) -> Self {
        self.name(name);
        literals.iter().for_each(|literal| self.0.extend_from_slice(literal));
        self
    }

    fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        serde_json::to_writer(&mut self.0, text).expect("a string always serialises into memory");
        self
    }

    fn end(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}

/// `{"EnterpriseId","IntegrationId","Discriminator","Value"[,"Entity"]}`.
pub fn event(source: &Source, discriminator: &str, value: &[u8], entity: Option<&[u8]>) -> Bytes {
    let object = Object::with_capacity(256 + value.len() + entity.map_or(0, <[u8]>::len))
        .text("EnterpriseId", source.enterprise())
        .text("IntegrationId", source.integration())
        .text("Discriminator", discriminator)
        .raw("Value", &[value]);
    match entity {
        Some(entity) => object.raw("Entity", &[entity]).end(),
        None => object.end(),
    }
}

/// An element of `Events` in its envelope, alone.
pub fn bad_event(source: &Source, raw: &[u8]) -> Bytes {
    Object::with_capacity(256 + raw.len())
        .text("EnterpriseId", source.enterprise())
        .text("IntegrationId", source.integration())
        .raw("Events", &[b"[", raw, b"]"])
        .end()
}

/// The webhook with a mark where each secret was: not even what sealing made of it is published.
pub fn integration(body: &Bytes) -> Bytes {
    let text = std::str::from_utf8(body).expect("fan out has read it as text");
    let Ok(replaced) = secrets::replace(text, |literal| {
        let discarded = literal == seal::DISCARDED;
        Ok::<_, std::convert::Infallible>(if discarded { seal::DISCARDED } else { seal::SEALED }.to_owned())
    });
    match replaced {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(replaced) => replaced.into(),
    }
}
