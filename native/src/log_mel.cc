#include "log_mel.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <unsupported/Eigen/FFT>

#include "audio.h"

namespace voicestream::stt {
namespace {

constexpr int kWindow = 400;  // samples, as the two below
constexpr int kHop = kRate / LogMel::kFramesPerSecond;
constexpr int kHalf = kWindow / 2;
constexpr int kBins = kHalf + 1;
constexpr float kFloor = 1e-10F;
constexpr float kDecades = 8;  // what lies further below the loudest value is raised to there
constexpr double kPi = 3.14159265358979323846;

// Slaney's mel scale (Auditory Toolbox, 1998): linear up to 1 kHz, logarithmic above.
constexpr double kCorner = 1000;
constexpr double kHzPerMel = 200.0 / 3;
const double kLogStep = std::log(6.4) / 27;

double mel_to_hz(double mel) {
  const double corner = kCorner / kHzPerMel;
  return mel < corner ? mel * kHzPerMel : kCorner * std::exp(kLogStep * (mel - corner));
}

// Triangles of unit area, as librosa and openai/whisper compute them.
Eigen::SparseMatrix<float, Eigen::RowMajor> mel_filters(int bands) {
  const double top = kCorner / kHzPerMel + std::log(kRate / (2 * kCorner)) / kLogStep;
  const auto edge = [&](int i) { return mel_to_hz(top * i / (bands + 1)); };
  Eigen::SparseMatrix<float, Eigen::RowMajor> filters(bands, kBins);
  for (int band = 0; band < bands; ++band) {
    const double low = edge(band);
    const double peak = edge(band + 1);
    const double high = edge(band + 2);
    for (int bin = 0; bin < kBins; ++bin) {
      const double hz = static_cast<double>(kRate) * bin / kWindow;
      const double weight = std::min((hz - low) / (peak - low), (high - hz) / (high - peak));
      if (weight > 0) {
        filters.insert(band, bin) = static_cast<float>(weight * 2 / (high - low));
      }
    }
  }
  filters.makeCompressed();
  return filters;
}

}  // namespace

LogMel::LogMel(int bands) : filters_(mel_filters(bands)), window_(kWindow) {
  for (int i = 0; i < kWindow; ++i) {
    window_[i] = static_cast<float>(0.5 * (1 - std::cos(2 * kPi * i / kWindow)));
  }
}

Spectrogram LogMel::operator()(const std::vector<float>& samples, int frames) const {
  // A frame has its sample in the middle: before the first one the samples are mirrored, after the last there is
  // silence.
  const int length = static_cast<int>(samples.size());
  const int heard = std::min(frames, (length + kHalf) / kHop + 1);
  Eigen::VectorXf padded = Eigen::VectorXf::Zero(std::max((heard - 1) * kHop + kWindow, length + kHalf));
  std::reverse_copy(samples.begin() + 1, samples.begin() + 1 + kHalf, padded.begin());
  std::copy(samples.begin(), samples.end(), padded.begin() + kHalf);

  Eigen::FFT<float> transform;
  transform.SetFlag(Eigen::FFT<float>::HalfSpectrum);
  Eigen::VectorXf windowed(kWindow);
  Eigen::VectorXcf spectrum(kBins);
  Eigen::MatrixXf power(kBins, heard);
  for (int frame = 0; frame < heard; ++frame) {
    windowed = padded.segment(frame * kHop, kWindow).cwiseProduct(window_);
    transform.fwd(spectrum.data(), windowed.data(), kWindow);
    power.col(frame) = spectrum.cwiseAbs2();
  }

  Spectrogram mel = Spectrogram::Constant(filters_.rows(), frames, std::log10(kFloor));
  const Eigen::MatrixXf bands = filters_ * power;
  mel.leftCols(heard) = bands.array().max(kFloor).log10();
  return (mel.max(mel.maxCoeff() - kDecades) + 4) / 4;
}

}  // namespace voicestream::stt
