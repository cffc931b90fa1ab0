// Agents announce themselves to a registry, which any server can be, and are found by what their names begin with.
#include <moebius/moebius.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

using namespace std::chrono_literals;

moebius::task<> find_cameras(moebius::requester& to_registry, std::size_t expected) {
    std::vector<moebius::agent> found;
    do {
        co_await moebius::sleep_for(1ms);
        found = co_await moebius::look_up(to_registry, "camera.*", 2s);
    } while (found.size() != expected);
    std::cout << found.size() << " cameras\n";
    for (const moebius::agent& one : found)
        std::cout << one.name << " " << one.attributes.front().first << "=" << one.attributes.front().second << "\n";
}

int main() {
    moebius::loop loop;
    moebius::registry agents;
    moebius::command_router registry_routes;
    agents.serve(registry_routes);
    moebius::server registry_server(loop, registry_routes);
    registry_server.bind("tcp://127.0.0.1:*");
    moebius::requester to_registry(loop, registry_server.endpoint());

    moebius::command_router camera_routes;
    moebius::server hall(loop, camera_routes), door(loop, camera_routes);
    for (moebius::server* camera : {&hall, &door}) {
        camera->bind("tcp://127.0.0.1:*");
        moebius::agent self(camera == &hall ? "camera.hall" : "camera.door", camera->endpoint());
        self.attributes = {{"floor", camera == &hall ? "1" : "0"}};
        camera->spawn(moebius::announcer(to_registry, std::move(self)));  // renewed until the camera stops
    }
    loop.run(find_cameras(to_registry, 2));
    hall.stop();
    loop.run(find_cameras(to_registry, 1));
}

// Prints:
//     2 cameras
//     camera.door floor=0
//     camera.hall floor=1
//     1 cameras
//     camera.door floor=0
