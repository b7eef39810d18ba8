package message

import "slices"

// Units of SenML's registry that the presets use (RFC 8428 section 12.1, RFC 8798).
const (
	celsius    = "Cel"
	humidity   = "%RH"
	fahrenheit = "degF" // not SenML's: kept as the device says it
)

var temperatureUnits = map[string]string{"C": celsius, "F": fahrenheit}

// presets are the mappings of programs that many sites run, by their names.
var presets = map[string][]Mapping{
	// OpenTRV's Java server: {"ts":"2014-08-23T10:25:12Z","body":{"T|C":21.75}}.
	"opentrv": {{
		Topic: "OpenTRV/Local/{device}", Time: "ts", Stats: true,
		Fields: []Field{{Path: "body/*", Name: "*"}},
	}},
	// Zigbee2MQTT publishes a device's state as one flat object. Names that it makes
	// levels of topics of need a mapping of their own. Its last_seen is the
	// coordinator's time, not the device's; voltage is in mV or in V by the device.
	"zigbee2mqtt": {{
		Topic: "zigbee2mqtt/{device}",
		Fields: []Field{
			{Path: "last_seen", Drop: true}, {Path: "elapsed", Drop: true}, {Path: "update_available", Drop: true},
			{Path: "temperature", Unit: celsius}, {Path: "local_temperature", Unit: celsius},
			{Path: "device_temperature", Unit: celsius}, {Path: "humidity", Unit: humidity},
			{Path: "battery", Unit: "%EL"}, {Path: "pressure", Unit: "hPa"}, {Path: "co2", Unit: "ppm"},
			{Path: "illuminance", Unit: "lx"}, {Path: "power", Unit: "W"}, {Path: "energy", Unit: "kWh"}, {Path: "current", Unit: "A"},
			{Path: "*"},
		},
	}},
	// Tasmota's telemetry: {"Time":"…","DS18B20":{"Id":"…","Temperature":-4.1},"TempUnit":"C"}.
	// Time counts only where the device is set up to tell its zone.
	"tasmota": {{
		Topic: "tele/{device}/SENSOR", Time: "Time",
		Fields: []Field{
			{Path: "TempUnit", Drop: true}, {Path: "PressureUnit", Drop: true}, {Path: "*/Id", Drop: true}, {Path: "*/Address", Drop: true},
			{Path: "*/Temperature", UnitFrom: "TempUnit", Units: temperatureUnits},
			{Path: "*/DewPoint", UnitFrom: "TempUnit", Units: temperatureUnits},
			{Path: "*/Humidity", Unit: humidity}, {Path: "*/Pressure", UnitFrom: "PressureUnit", Units: map[string]string{"hPa": "hPa"}},
			{Path: "*/CarbonDioxide", Unit: "ppm"}, {Path: "*/Illuminance", Unit: "lx"},
			{Path: "ENERGY/Power", Unit: "W"}, {Path: "ENERGY/Voltage", Unit: "V"}, {Path: "ENERGY/Current", Unit: "A"},
			{Path: "ENERGY/Total", Unit: "kWh"}, {Path: "ENERGY/TotalStartTime", Drop: true},
			{Path: "*/*"}, {Path: "*"},
		},
	}},
	// Shelly from the second generation on: notifications of its RPC. The first
	// generation publishes plain values, a topic each.
	"shelly": {{
		Topic: "{_}/events/rpc", Device: "src", Time: "params.ts",
		Require: map[string][]string{"method": {"NotifyStatus", "NotifyFullStatus"}},
		Fields: []Field{
			{Path: "params/temperature:*/tC", Name: "temperature:*", Unit: celsius},
			{Path: "params/humidity:*/rh", Name: "humidity:*", Unit: humidity},
			{Path: "params/devicepower:*/battery/percent", Name: "battery:*", Unit: "%EL"},
			{Path: "params/devicepower:*/battery/V", Name: "battery:*.V", Unit: "V"},
			{Path: "params/switch:*/output", Name: "switch:*"},
			{Path: "params/switch:*/apower", Name: "power:*", Unit: "W"},
			{Path: "params/switch:*/voltage", Name: "voltage:*", Unit: "V"},
			{Path: "params/switch:*/current", Name: "current:*", Unit: "A"},
			{Path: "params/switch:*/aenergy/total", Name: "energy:*", Unit: "Wh"},
			{Path: "params/switch:*/temperature/tC", Name: "switch:*.temperature", Unit: celsius},
			{Path: "params/input:*/state", Name: "input:*"},
			{Path: "params/flood:*/alarm", Name: "flood:*"}, {Path: "params/smoke:*/alarm", Name: "smoke:*"},
		},
	}, {
		Topic: "shellies/{device}/sensor/{name}", Plain: true,
		Fields: []Field{
			{Path: "temperature", Unit: celsius}, {Path: "humidity", Unit: humidity}, {Path: "battery", Unit: "%EL"},
			{Path: "lux", Unit: "lx"}, {Path: "state"}, {Path: "flood"}, {Path: "motion"}, {Path: "smoke"}, {Path: "tilt"}, {Path: "vibration"},
		},
	}},
}

// Preset returns the mappings of a preset, nil if there is none of this name.
func Preset(name string) []Mapping { return slices.Clone(presets[name]) }

// Presets names the presets, in order.
func Presets() []string {
	names := make([]string, 0, len(presets))
	for n := range presets {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
