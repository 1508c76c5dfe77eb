//! Names that are clearly nobody's: for hotels, guests and what they write.

/// Hotels.
pub const HOTELS: [&str; 8] = [
    "Hotel Lindenhof",
    "Harbour House",
    "Casa Azul",
    "Pension Alpenblick",
    "The Copper Kettle",
    "Villa Mirabel",
    "Nordlys Hotell",
    "Hostel Kompas",
];

/// Currency, time zone, legal environment and language, by hotel in turn.
pub const PLACES: [(&str, &str, &str, &str); 4] = [
    ("EUR", "Europe/Budapest", "AT", "de-AT"),
    ("GBP", "Europe/London", "UK", "en-GB"),
    ("USD", "America/New_York", "US-NY", "en-US"),
    ("CZK", "Europe/Prague", "CZ", "cs-CZ"),
];

/// First names, with the title and sex that go with them.
pub const FIRST_NAMES: [(&str, &str, &str); 10] = [
    ("Avelina", "Misses", "Female"),
    ("Bertram", "Mister", "Male"),
    ("Cosima", "Miss", "Female"),
    ("Dagobert", "Mister", "Male"),
    ("Eulalia", "Misses", "Female"),
    ("Fridolin", "Mister", "Male"),
    ("Ginevra", "Miss", "Female"),
    ("Hyacinth", "Mister", "Male"),
    ("Iphigenia", "Misses", "Female"),
    ("Jolanthe", "Miss", "Female"),
];

/// Last names; some hold what must survive JSON.
pub const LAST_NAMES: [&str; 10] = [
    "Müßiggang",
    "O'Nobody",
    "Nadie-Ninguno",
    "Invento",
    "Sample",
    "Příklad",
    "Beispiel",
    "Exemple \"Le Faux\"",
    "Παράδειγμα",
    "見本",
];

/// What guests write.
pub const MESSAGES: [&str; 6] = [
    "Is there a cot in the room?",
    "We arrive after 22:00.\nIs somebody there?",
    "Thank you ❤ for the lovely stay!",
    "Could we have a quiet room, please?",
    "The \"view\" is a wall.",
    "Where can I park?",
];

/// What threads are about.
pub const SUBJECTS: [&str; 4] = ["Your stay", "Late arrival", "Parking", "A wish"];

/// Products with their charging mode, consumption moment and classification.
pub const PRODUCTS: [(&str, &str, &str, &str); 6] = [
    ("Breakfast", "PerPersonPerTimeUnit", "Morning", "Food"),
    ("Half board", "PerPersonPerTimeUnit", "EveningBefore", "Food"),
    ("Bottle of water", "Once", "Arrival", "Beverage"),
    ("Sauna", "PerPerson", "Afternoon", "Wellness"),
    ("City tax", "PerPersonPerTimeUnit", "Night", "CityTax"),
    ("Late check-out", "PerTimeUnit", "Departure", "Fee"),
];
