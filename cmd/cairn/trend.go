package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cairn/store"
)

// trendRequest asks for the points of a chart.
type trendRequest struct {
	Stream uint64 `json:"stream"`
	Field  string `json:"field"`
	From   int64  `json:"from"` // Unix ms
	To     int64  `json:"to"`
	Points int    `json:"points"`
}

// trendAnswer is what a chart draws: numbers to look at, and no evidence.
type trendAnswer struct {
	Field  string       `json:"field"`
	Unit   string       `json:"unit"`
	Width  int64        `json:"width"` // ms that a point stands for
	Points []trendPoint `json:"points"`
	Gaps   []trendSpan  `json:"gaps"` // where readings were to be expected and none is
	Gone   []trendSpan  `json:"gone"` // what was shredded or dropped
	Read   int          `json:"read"`
}

type trendPoint struct {
	From int64   `json:"from"`
	N    uint64  `json:"n"`
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

type trendSpan struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Why  string `json:"why,omitempty"`
}

func (l *openLedger) trend(ctx context.Context, q trendRequest) (trendAnswer, error) {
	t, err := l.store.Trend(ctx, store.TrendQuery{Slot: q.Stream, Field: q.Field, From: q.From, To: q.To, Points: q.Points})
	if err != nil {
		return trendAnswer{}, fmt.Errorf("trend%s: %w", l.where(), err)
	}
	a := trendAnswer{Field: q.Field, Unit: t.Unit, Width: t.Width, Points: make([]trendPoint, len(t.Points)), Gone: []trendSpan{}, Read: t.Read}
	for i, p := range t.Points {
		a.Points[i] = trendPoint{From: p.From, N: p.N, Min: p.Min, Mean: p.Sum / float64(p.N), Max: p.Max}
	}
	for _, g := range t.Gone {
		why := "deleted"
		if errors.Is(g.Why, store.ErrShredded) {
			why = "shredded"
		}
		a.Gone = append(a.Gone, trendSpan{g.From, g.To, why})
	}
	a.Gaps = gapsBetween(t.Points, t.Width)
	return a, nil
}

// gapsBetween finds where points are missing: where there is none for over three times
// as long as between most of them.
func gapsBetween(points []store.TrendPoint, width int64) []trendSpan {
	gaps := []trendSpan{}
	if len(points) < 3 {
		return gaps
	}
	between := make([]int64, len(points)-1)
	for i := range between {
		between[i] = points[i+1].From - points[i].From
	}
	sorted := slices.Sorted(slices.Values(between))
	usual := max(sorted[len(sorted)/2], width)
	for i, d := range between {
		if d > 3*usual {
			gaps = append(gaps, trendSpan{From: points[i].From + width, To: points[i+1].From})
		}
	}
	return gaps
}
