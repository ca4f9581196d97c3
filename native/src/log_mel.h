// The log-mel spectrogram that Whisper hears.
#pragma once

#include <Eigen/Core>
#include <Eigen/SparseCore>
#include <vector>

namespace voicestream::stt {

// Bands by frames, a band after the other in memory, as whisper_set_mel takes them.
using Spectrogram = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Computes spectrograms; may be used by several threads at once. Equals whisper.cpp's own within 1e-4.
class LogMel {
 public:
  static constexpr int kFramesPerSecond = 100;

  explicit LogMel(int bands);

  // The first `frames` frames of samples at 16 kHz, of which there must be more than 200; silence follows the samples.
  Spectrogram operator()(const std::vector<float>& samples, int frames) const;

 private:
  Eigen::SparseMatrix<float, Eigen::RowMajor> filters_;  // bands by frequencies
  Eigen::VectorXf window_;
};

}  // namespace voicestream::stt
