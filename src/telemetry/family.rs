//! Metric families whose label values are enums, created at start so that zero is visible.

use std::{fmt::Debug, marker::PhantomData};

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// A closed list of values of one label.
pub trait Label: Copy + Debug + PartialEq + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value it can have.
    const ALL: &'static [Self];
    /// The value as it is exposed.
    fn value(self) -> &'static str;
}

/// Declares an enum that is a [`Label`].
macro_rules! label {
    ($(#[$meta:meta])* $name:ident, $label:literal { $($(#[$variant_meta:meta])* $variant:ident = $value:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_meta])* #[doc = concat!("`", $value, "`")] $variant),+ }

        impl $crate::telemetry::family::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn value(self) -> &'static str {
                match self { $(Self::$variant => $value),+ }
            }
        }
    };
}
pub(crate) use label;

/// Makes families and registers each under the `mewsbridge_` prefix.
pub struct Maker<'a>(pub &'a Registry);

/// Two families of one name are a mistake in the inventory, found by its own test.
const UNIQUE: &str = "the inventory names every family once, with valid names";

impl Maker<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> C {
        self.0.register(Box::new(collector.clone())).expect(UNIQUE);
        collector
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("mewsbridge")
    }

    /// A counter without labels.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(Self::opts(name, help)).expect(UNIQUE))
    }

    /// A whole-number gauge without labels.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(Self::opts(name, help)).expect(UNIQUE))
    }

    /// A gauge of seconds or of a share, with their fraction.
    pub fn seconds(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::with_opts(Self::opts(name, help)).expect(UNIQUE))
    }

    /// A histogram without labels.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        self.register(Histogram::with_opts(opts).expect(UNIQUE))
    }

    /// Counters by the values of one enum.
    pub fn counters<L: Label>(&self, name: &str, help: &str) -> Counters<L> {
        let vec = self.register(IntCounterVec::new(Self::opts(name, help), &[L::NAME]).expect(UNIQUE));
        Counters(Members::new(|label| vec.with_label_values(&[label])))
    }

    /// Counters by the values of two enums.
    pub fn counters2<A: Label, B: Label>(&self, name: &str, help: &str) -> Counters2<A, B> {
        let vec =
            self.register(IntCounterVec::new(Self::opts(name, help), &[A::NAME, B::NAME]).expect(UNIQUE));
        Counters2(Members::new(|a| Members::new(|b| vec.with_label_values(&[a, b]))))
    }

    /// Gauges by the values of one enum.
    pub fn gauges<L: Label>(&self, name: &str, help: &str) -> Gauges<L> {
        let vec = self.register(IntGaugeVec::new(Self::opts(name, help), &[L::NAME]).expect(UNIQUE));
        Gauges(Members::new(|label| vec.with_label_values(&[label])))
    }

    /// Gauges of seconds by the values of one enum, none of which is exposed before it is asked for.
    pub fn seconds_by<L: Label>(&self, name: &str, help: &str) -> Seconds<L> {
        let vec = GaugeVec::new(Self::opts(name, help), &[L::NAME]).expect(UNIQUE);
        Seconds(self.register(vec), PhantomData)
    }

    /// Histograms by the values of one enum.
    pub fn histograms<L: Label>(&self, name: &str, help: &str, buckets: &[f64]) -> Histograms<L> {
        let opts = HistogramOpts { common_opts: Self::opts(name, help), buckets: buckets.to_vec() };
        let vec = self.register(HistogramVec::new(opts, &[L::NAME]).expect(UNIQUE));
        Histograms(Members::new(|label| vec.with_label_values(&[label])))
    }

    /// Counters by values that the configuration bounds, such as topics.
    pub fn counters_by_name(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Self::opts(name, help), labels).expect(UNIQUE))
    }

    /// Whole-number gauges by values that the configuration bounds, such as partitions.
    pub fn gauges_by_name(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Self::opts(name, help), labels).expect(UNIQUE))
    }

    /// Gauges of seconds by values that the configuration bounds, such as token aliases.
    pub fn seconds_by_name(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Self::opts(name, help), labels).expect(UNIQUE))
    }
}

/// One member per label value, in the order of [`Label::ALL`].
#[derive(Clone, Debug)]
struct Members<L, M>(Vec<M>, PhantomData<L>);

impl<L: Label, M> Members<L, M> {
    fn new(make: impl Fn(&str) -> M) -> Self {
        Self(L::ALL.iter().map(|label| make(label.value())).collect(), PhantomData)
    }

    fn get(&self, label: L) -> &M {
        let at = L::ALL.iter().position(|each| *each == label);
        &self.0[at.expect("ALL lists every value")]
    }
}

/// Counters by one enum.
#[derive(Clone, Debug)]
pub struct Counters<L>(Members<L, IntCounter>);

impl<L: Label> Counters<L> {
    /// The counter of one value.
    pub fn of(&self, label: L) -> &IntCounter {
        self.0.get(label)
    }
}

/// Counters by two enums.
#[derive(Clone, Debug)]
pub struct Counters2<A, B>(Members<A, Members<B, IntCounter>>);

impl<A: Label, B: Label> Counters2<A, B> {
    /// The counter of one pair of values.
    pub fn of(&self, a: A, b: B) -> &IntCounter {
        self.0.get(a).get(b)
    }
}

/// Gauges by one enum.
#[derive(Clone, Debug)]
pub struct Gauges<L>(Members<L, IntGauge>);

impl<L: Label> Gauges<L> {
    /// The gauge of one value.
    pub fn of(&self, label: L) -> &IntGauge {
        self.0.get(label)
    }

    /// Sets the gauge of one value to 1 and all others to 0.
    pub fn only(&self, label: L) {
        for (each, gauge) in L::ALL.iter().zip(&self.0.0) {
            gauge.set(i64::from(*each == label));
        }
    }
}

/// Gauges of seconds by one enum. The exception to the page: a time that has no meaning in a process is
/// not exposed by it, for 0 would be a time too.
#[derive(Clone, Debug)]
pub struct Seconds<L>(GaugeVec, PhantomData<L>);

impl<L: Label> Seconds<L> {
    /// The gauge of one value, exposed from now on.
    pub fn of(&self, label: L) -> Gauge {
        self.0.with_label_values(&[label.value()])
    }
}

/// Histograms by one enum.
#[derive(Clone, Debug)]
pub struct Histograms<L>(Members<L, Histogram>);

impl<L: Label> Histograms<L> {
    /// The histogram of one value.
    pub fn of(&self, label: L) -> &Histogram {
        self.0.get(label)
    }
}
