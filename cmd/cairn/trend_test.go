package main

import (
	"slices"
	"testing"

	"cairn/store"
)

func TestGapsBetween(t *testing.T) {
	at := func(all ...int64) (points []store.TrendPoint) {
		for _, ms := range all {
			points = append(points, store.TrendPoint{From: ms, N: 1})
		}
		return points
	}
	for _, c := range []struct {
		points []store.TrendPoint
		width  int64
		want   []trendSpan
	}{
		{at(), 10, []trendSpan{}},
		{at(0, 1000), 10, []trendSpan{}}, // of two nobody knows what is usual
		{at(0, 10, 20, 30), 10, []trendSpan{}},
		{at(0, 10, 20, 60, 70), 10, []trendSpan{{From: 30, To: 60}}},
		{at(0, 10, 20, 50, 60), 10, []trendSpan{}},
		{at(0, 600, 1200, 1800, 4000, 4600), 10, []trendSpan{{From: 1810, To: 4000}}}, // one that sends seldom
	} {
		if got := gapsBetween(c.points, c.width); !slices.Equal(got, c.want) {
			t.Errorf("%v, %d wide: got %v, want %v", c.points, c.width, got, c.want)
		}
	}
}
