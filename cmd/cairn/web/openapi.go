package web

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Document is the API in the words of OpenAPI 3.1, made of the table of routes and
// of the types of questions and answers.
type Document map[string]any

type object = map[string]any

// describe makes the document.
func describe(version string, table []Route) Document {
	d := describer{schemas: object{}}
	paths := object{}
	for i := range table {
		t := &table[i]
		at := apiPath + t.Path
		if paths[at] == nil {
			paths[at] = object{}
		}
		paths[at].(object)[strings.ToLower(t.Method)] = d.operation(t)
	}
	failure := d.schema(reflect.TypeFor[Failure]())
	return Document{
		"openapi": "3.1.0",
		"info": object{
			"title": "cairn", "version": version,
			"description": "The API of a gateway's console. Whoever is not logged in gets 401, who may not 403. Times in answers are RFC 3339 in UTC.",
		},
		"paths": paths,
		"components": object{
			"schemas": d.schemas,
			"responses": object{"Failure": object{
				"description": "why there is no answer",
				"content":     object{jsonType: object{"schema": failure}},
			}},
			"securitySchemes": object{
				"session": object{"type": "apiKey", "in": "cookie", "name": "cairn", "description": "set by login; __Host-cairn over HTTPS"},
				"token":   object{"type": "http", "scheme": "bearer", "description": "made by cairn token add, with a scope (read, operate, admin) and an end"},
			},
		},
	}
}

type describer struct{ schemas object }

func (d *describer) operation(t *Route) object {
	ok := object{"description": "the answer"}
	if t.gives != nil {
		ok["content"] = object{jsonType: object{"schema": d.schema(t.gives)}}
	} else {
		media := object{}
		if t.media == eventsType {
			ok["description"] = "events without end, each an Event"
			d.schema(reflect.TypeFor[Event]())
		} else {
			media["schema"] = object{"type": "string", "format": "binary"}
		}
		ok["content"] = object{t.media: media}
	}
	o := object{
		"operationId": operationID(t),
		"summary":     t.Summary,
		"description": whoMay(t),
		"responses":   object{strconv.Itoa(t.status): ok, "default": object{"$ref": "#/components/responses/Failure"}},
	}
	if !t.Anyone {
		o["security"] = []any{object{"session": []string{}}, object{"token": []string{}}}
	}
	var params []any
	for _, name := range t.pathParams() {
		kind := "integer"
		if name == "id" || name == "name" {
			kind = "string"
		}
		params = append(params, object{"name": name, "in": "path", "required": true, "schema": object{"type": kind}})
	}
	for _, p := range t.params {
		kind := p.kind
		if kind == "time" {
			kind = "string"
		}
		params = append(params, object{"name": p.name, "in": "query", "required": p.required, "description": p.doc, "schema": object{"type": kind}})
	}
	if params != nil {
		o["parameters"] = params
	}
	if t.takes != nil {
		o["requestBody"] = object{"required": true, "content": object{jsonType: object{"schema": d.schema(t.takes)}}}
	}
	return o
}

func whoMay(t *Route) string {
	switch {
	case t.Anyone:
		return "Anyone may ask."
	case t.Audience && t.Least == Viewer:
		return "Whoever is logged in may ask; an audience is answered with what its grants open."
	}
	return fmt.Sprintf("Takes the role %s. Not for audiences.", t.Least)
}

// operationID is the route in one word: getStreamsStreamReadings.
func operationID(t *Route) string {
	id := strings.ToLower(t.Method)
	for _, part := range strings.FieldsFunc(t.Path, func(r rune) bool { return strings.ContainsRune("/{}.", r) }) {
		id += strings.ToUpper(part[:1]) + part[1:]
	}
	return id
}

// schema describes a type; a struct by reference to where all are.
func (d *describer) schema(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		if t == reflect.TypeFor[Document]() {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		if _, made := d.schemas[t.Name()]; !made {
			d.schemas[t.Name()] = nil // it may contain itself
			d.schemas[t.Name()] = d.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	panic("the API has a value of type " + t.String())
}

func (d *describer) structure(t reflect.Type) object {
	properties := object{}
	required := []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		s := d.schema(f.Type)
		if enum := f.Tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, ",")
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		properties[name] = s
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
