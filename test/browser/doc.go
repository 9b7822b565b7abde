// Package browser tests the console as people meet it: the real binary, built
// from this tree, serves it to a headless Chromium, and the tests press keys,
// click, drop pictures and look into the camera. Every tab fails its test when
// the page throws, or does what its content security policy forbids. Without a
// browser the tests are skipped with one line, and fail where CI is set or
// IMAGO_REQUIRE names browser.
package browser
