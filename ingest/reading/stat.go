package reading

import "strings"

// Names of the measurements that an OpenTRV frame's body carries outside of
// its stats. The truth values are given only when true, the occupancy only when
// reported (1 none, 2 possible, 3 likely). They come in the order valve, heat,
// fault, battery-low, tamper, occupancy, frost, and before the stats.
const (
	NameValve      = "valve" // percent open, unit UnitPercent
	NameHeat       = "heat"
	NameFault      = "fault"
	NameBatteryLow = "battery-low"
	NameTamper     = "tamper"
	NameOccupancy  = "occupancy"
	NameFrost      = "frost"
)

// Units of SenML (RFC 8428 section 12.1) that stats are brought to.
const (
	UnitPercent  = "%"
	UnitCelsius  = "Cel"
	UnitVolt     = "V"
	UnitHumidity = "%RH"
)

// FromStat returns the measurement of one OpenTRV stat "key|unit": the integer
// n, or the text where isInt is false. The conversion is exact. It returns an
// ErrInvalid if no measurement can hold the stat.
func FromStat(key, unit string, isInt bool, n int64, text string) (Measurement, error) {
	m := Measurement{Name: escape(key), Unit: unit, Value: Text(text)}
	if isInt {
		m.Unit, m.Value = fromUnit(key, unit, n)
	}
	var alone Reading
	if err := alone.checkMeasurement(0, &m); err != nil {
		return Measurement{}, err
	}
	return m, nil
}

// fromUnit returns the SenML unit and the value of n in a stat's unit, the
// zero Value where 64 bits do not hold it.
func fromUnit(key, unit string, n int64) (string, Value) {
	switch {
	case unit == "C16": // sixteenths: n/16 = n·625/10^4
		if n*625/625 != n {
			return UnitCelsius, Value{}
		}
		return UnitCelsius, Decimal(n*625, -4)
	case unit == "C":
		return UnitCelsius, Int(n)
	case unit == "cV":
		return UnitVolt, Decimal(n, -2)
	case unit == "mV":
		return UnitVolt, Decimal(n, -3)
	case unit == "%" && key == "H":
		return UnitHumidity, Int(n)
	}
	return unit, Int(n)
}

// ToStat returns the commonest spelling of a measurement as a stat: the
// inverse of FromStat, which gives m again from what is returned. ok is false
// where there is no such spelling.
func ToStat(m Measurement) (key, unit string, isInt bool, n int64, text string, ok bool) {
	key = unescape(m.Name)
	if m.Value.Kind == KindText {
		unit, text = m.Unit, m.Value.Text
	} else {
		isInt = true
		unit, n = toUnit(key, m.Unit, m.Value)
	}
	if again, err := FromStat(key, unit, isInt, n, text); err != nil || again != m {
		return "", "", false, 0, "", false
	}
	return key, unit, isInt, n, text, true
}

// toUnit returns a stat's unit and the integer for it. Where v is not exact in
// that unit the integer is any.
func toUnit(key, unit string, v Value) (string, int64) {
	whole := v.Kind == KindInt
	switch {
	case unit == UnitCelsius && whole && key != "T":
		return "C", v.Mantissa
	case unit == UnitCelsius:
		tenThousandths, _ := scaled(v, 4)
		return "C16", tenThousandths / 625
	case unit == UnitVolt && whole && key != "B":
		return UnitVolt, v.Mantissa
	case unit == UnitVolt:
		if n, ok := scaled(v, 2); ok {
			return "cV", n
		}
		n, _ := scaled(v, 3)
		return "mV", n
	case unit == UnitHumidity && key == "H":
		return "%", v.Mantissa
	}
	return unit, v.Mantissa
}

// scaled returns v·10^places if v is a number and that an integer of 64 bits.
func scaled(v Value, places int) (int64, bool) {
	if !v.IsNumber() || int(v.Exp)+places < 0 {
		return 0, false
	}
	s := Decimal(v.Mantissa, int(v.Exp)+places)
	return s.Mantissa, s.Kind == KindInt
}

// escape puts an underscore before a key that a frame's own item or body bits
// have for a name, with or without underscores before it, so that no stat can
// pass for one of them and every key can be told again.
func escape(key string) string {
	if ownName(strings.TrimLeft(key, "_")) {
		return "_" + key
	}
	return key
}

func unescape(name string) string {
	if ownName(strings.TrimLeft(name, "_")) {
		return strings.TrimPrefix(name, "_")
	}
	return name
}

func ownName(s string) bool {
	switch s {
	case NameValve, NameHeat, NameFault, NameBatteryLow, NameTamper, NameOccupancy, NameFrost:
		return true
	}
	return isItemName(s)
}
