// Metrics as a scraper reads them: over HTTP.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace voicestream::stt {

// What GET /metrics answers on this port of the loopback interface.
inline std::string scrape(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    send(socket, request.data(), request.size(), 0);
    std::string part(4096, '\0');
    for (ssize_t got = 0; (got = recv(socket, part.data(), part.size(), 0)) > 0;) {
      answer.append(part, 0, static_cast<std::size_t>(got));
    }
  }
  close(socket);
  return answer;
}

inline bool has_line(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace voicestream::stt
