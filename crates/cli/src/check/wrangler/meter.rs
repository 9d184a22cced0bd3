//! Whether an environment of wrangler has the objects that count the limits, for itself.

use toml::Spanned;
use toml::de::DeValue;
use turnpike_policy::source::{Code, Severity};

use super::Check;
use super::place::{Place, classes};

/// By which name the Worker reaches the objects of the limits, and their class.
const METER: (&str, &str) = ("METER", "Meter");

impl Check<'_> {
    /// Whether the Worker reaches the objects of the limits, and its migrations create them.
    pub(super) fn binding(&mut self, place: &Place<'_>) {
        let (name, class) = METER;
        let bindings = place
            .own("durable_objects")
            .and_then(|objects| objects.get_ref().get("bindings"));
        let list = bindings.and_then(|bindings| bindings.get_ref().as_array());
        let text = |binding: &Spanned<DeValue<'_>>, key: &str| {
            binding
                .get_ref()
                .get(key)
                .and_then(|value| value.get_ref().as_str().map(str::to_owned))
        };
        let meter = list
            .into_iter()
            .flatten()
            .find(|binding| text(binding, "name").as_deref() == Some(name));
        let right = format!("durable_objects.bindings = [{{ name = \"{name}\", class_name = \"{class}\" }}]");
        let Some(meter) = meter else {
            let span = bindings.map_or_else(|| place.span.clone(), Spanned::span);
            self.say(
                Code::NoBinding,
                Severity::Error,
                span,
                format!("{} does not bind {name}, which counts the limits", place.shown()),
                format!("write in it: {right} (bindings are not inherited)"),
            );
            return;
        };
        if text(meter, "class_name").as_deref() != Some(class) {
            self.say(
                Code::NoBinding,
                Severity::Error,
                meter.span(),
                format!("{name} of {} is not of the class {class}", place.shown()),
                format!("write: {right}"),
            );
            return;
        }
        let its_own = place.worker().map(|(name, _)| name);
        // Objects of another script are created by its own migrations.
        if let Some(script) = meter.get_ref().get("script_name")
            && script.get_ref().as_str() != its_own.as_deref()
        {
            self.say(
                Code::NoBinding,
                Severity::Warning,
                script.span(),
                format!(
                    "{name} of {} is counted by another Worker: what else counts there counts the same callers, and whether \
                     it creates the class {class} is not known",
                    place.shown()
                ),
                format!("write {right}, if the limits of this environment are its own"),
            );
            return;
        }
        let message = match classes(place).get(class) {
            Some(true) => return,
            Some(false) => format!(
                "the migrations of {} create the class {class} without SQLite, in which it counts",
                place.shown()
            ),
            None => format!("no migration of {} creates the class {class}", place.shown()),
        };
        let span = place
            .own("migrations")
            .map_or_else(|| meter.span(), Spanned::span);
        self.say(
            Code::NoMigration,
            Severity::Error,
            span,
            message,
            format!("write [[migrations]] with tag = \"v1\" and new_sqlite_classes = [\"{class}\"]"),
        );
    }
}
