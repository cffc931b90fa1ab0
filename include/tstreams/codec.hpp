// Items as values of your own types. The store sees bytes only.
//
//     template <> struct tstreams::codec<order> {
//         static std::string encode(const order& value);
//         static order decode(tstreams::bytes_view bytes);     // throws what it likes
//     };
//     txn.put(my_order);   ...   order one = item.as<order>();
#pragma once

#include <tstreams/types.hpp>

#include <string>

namespace tstreams {

template <class T>
struct codec;  // specialise it; there is no default

template <class T>
concept encodable = requires(const T& value, bytes_view bytes) {
    { codec<T>::encode(value) } -> std::convertible_to<std::string>;
    { codec<T>::decode(bytes) } -> std::convertible_to<T>;
};

}  // namespace tstreams
