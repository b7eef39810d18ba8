// Package report writes what a check of a proof file found as one page for
// people who have to rely on it, and who may have to print it: the answer in a
// sentence, what is claimed, what was checked and how, what was not, the
// readings as a plot and a table, where the devices were, times, completeness,
// keys, and every digest.
//
// The page stands alone: no script, no picture, font or style from elsewhere.
// Its content security policy lets nothing in but its own two style sheets, by
// their hashes.
//
// # What may be said
//
// A report says nothing that its verdict does not. Of a file that is false it
// shows no content at all, and of one that proves less than was asked for it
// says so above everything that it shows. Lines of a plot join two readings
// only where the verdict says that none lies between them.
//
// # Foreign text
//
// All that stands in a proof file may have been written to deceive. There is
// one way for text onto the page: an argument of page.put, where it is cut to a
// length, every character that cannot be seen is replaced by its code point,
// and what means something in HTML is escaped. What put takes as it is has a
// type of its own, markup, to which this package converts constants alone; a
// test reads the source and holds it to that. (html/template would escape as well,
// and make cairn-verify larger by 2 MB, or a quarter.)
package report
