package ots

import (
	"net/http"
	"testing"
)

// refuse fails the test if anybody asks.
func refuse(t *testing.T) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s %s was asked for", r.Method, r.URL.Path)
		http.Error(w, "no", http.StatusTeapot)
		return true
	}
}
