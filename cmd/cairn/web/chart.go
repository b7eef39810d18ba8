package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// chart.js draws what /api/v1/streams/…/history answers, with uPlot, which scripts/page/chart.sh brings into dist.
//
//go:embed chart.js chart.css
var chartFiles embed.FS

// missingChart is what a gateway says that was built without the library.
const missingChart = "This build of the gateway does not have the library that draws charts: \"make build\" makes one that has.\n"

// serveChart answers with chart.js, chart.css, uplot.js, uplot.css or uplot.license, by the last part of the path.
func serveChart(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	var from fs.FS = chartFiles
	if strings.HasPrefix(name, "uplot.") {
		from = dist
		name = "dist/" + name
	}
	b, err := fs.ReadFile(from, name)
	if err != nil {
		http.Error(w, missingChart, http.StatusNotFound)
		return
	}
	kind := "text/plain; charset=utf-8"
	switch path.Ext(name) {
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(b)
}
