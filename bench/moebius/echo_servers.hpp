// The servers that are compared. Each binds to a free port of loopback, writes its endpoint as a line, and serves
// until its process is killed.
#pragma once

namespace bench {

void serve_plain(int out);      // a loop over a ROUTER that sends back every frame
void serve_functions(int out);  // Moebius; the handler is a function
void serve_coroutines(int out);

}  // namespace bench
